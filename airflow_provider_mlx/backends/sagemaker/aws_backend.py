"""What every backend on AWS has: clients of one connection and region, and a stop that may come too late."""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import cached_property

from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.exceptions import JobMisconfigured

from .client import AwsClient, Missing
from .credentials import Session, session_of


class AwsBackend(Backend):
    """Runs jobs by an API of AWS."""

    @property
    @abc.abstractmethod
    def region(self) -> str:
        """Of the calls; empty for the connection's."""

    @cached_property
    def client(self) -> AwsClient:
        """The region's API; nothing is opened before it is asked for something."""
        return self._new_client()

    def _new_client(self) -> AwsClient:
        return AwsClient(self._session, self.region)

    def _session(self) -> Session:
        return session_of(self.read_connection(self.conn_id) if self.conn_id else None)

    def _stop_unless_over(self, is_over: Callable[[], bool], stop: Callable[[], object]) -> None:
        """Stop something. What ends meanwhile is no error, and says so with the code of every other refusal."""
        if is_over():
            return
        try:
            stop()
        except Missing:
            return
        except JobMisconfigured:
            if not is_over():
                raise
