"""
Checkpoints of local jobs whose artifact root is an object store: the worker brings and stores them.

A local job has no client of the store and no credentials. Its checkpoint folders lie in its own copy of the store;
before it starts, the worker restores there what earlier attempts have left, and while it runs, a thread of the worker
stores what is new, by the same code and in the same form as a job elsewhere does it itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectFacts, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.checkpoints import Keeper, restore
from airflow_provider_mlx.runtime.refusals import ArtifactError as Refused
from airflow_provider_mlx.runtime.uris import join

_MANIFEST_LIMIT: Final = 64 * 1024 * 1024
_LAST_SECONDS: Final = 600.0

_KEEPERS: Final[dict[Path, Keeper]] = {}
"""By job folder: the threads of this process."""
_LOCK: Final = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """
    Where the checkpoints of one job lie.

    :param area: in the job's own copy of the store.
    :param uri: of all checkpoints of its task instance.
    :param names: of the folders that the job may ask for.
    """

    area: Path
    uri: str
    attempt: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, context_file: Path, area: Path) -> Checkpoints:
        """As the job's context tells them."""
        context: Mapping[str, Any] = json.loads(context_file.read_bytes())
        names = ("all", f"since-{context['checkpoints_since']}")
        return cls(area, context["checkpoint_uri"], int(context["step"]["attempt"]), names)

    def bring(self, store: ObjectStore) -> None:
        """
        Restore what earlier attempts have left, before the job starts.

        :raises ArtifactError: there is something, and it cannot be restored.
        """
        objects = WorkersObjects(store)
        for name in self.names:
            there = next(iter(objects.list(join(self.uri, name))), None) if self.attempt > 1 else None
            if there is not None and not (self.area / name).exists():
                try:
                    restore(self.area, name, objects, self.uri, log.info)
                except Refused as error:
                    raise ArtifactError(error.what, where=self.uri, remedy=error.remedy) from error

    def keep(self, store: ObjectStore) -> None:
        """Store them while the job runs, from now on."""
        with _LOCK:
            if self.area not in _KEEPERS:
                keeper = _KEEPERS[self.area] = self._keeper(store)
                keeper.start()

    def finish(self, store: ObjectStore) -> None:
        """Store what is not stored yet of a job that is over; what cannot be stored is said, and holds up no result."""
        with _LOCK:
            keeper = _KEEPERS.pop(self.area, None)
        if keeper is None:
            keeper = self._keeper(store)
            keeper.start()
        until = time.monotonic() + _LAST_SECONDS
        keeper.finish(lambda: until - time.monotonic())

    def forget(self) -> None:
        """Let the thread end."""
        with _LOCK:
            keeper = _KEEPERS.pop(self.area, None)
        if keeper is not None:
            keeper.stop()

    def _keeper(self, store: ObjectStore) -> Keeper:
        return Keeper(self.area, WorkersObjects(store), self.uri, self.attempt, log.warning)


class WorkersObjects:
    """The worker's store, as snapshots use one: an object that is missing is a refusal with that cause."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def list(self, uri: str) -> Iterator[ObjectFacts]:
        """Every object below a folder."""
        return self._store.list(uri)

    def read_bytes(self, uri: str) -> bytes:
        """A small object, whole."""
        data = self._store.read(uri, limit=_MANIFEST_LIMIT)
        if data is None:
            raise _missing(uri)
        return data

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a new file."""
        try:
            self._store.download(uri, path)
        except ArtifactError as error:
            raise _missing(uri) from error.__cause__

    def upload(self, path: Path, uri: str) -> None:
        """Create an object from a file."""
        self._store.upload(path, uri)

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Create a small object."""
        self._store.create(uri, data)

    def delete(self, uri: str) -> None:
        """Remove an object."""
        self._store.delete(uri)


def _missing(uri: str) -> Refused:
    refused = Refused(f"there is no object {uri}")
    refused.__cause__ = FileNotFoundError(uri)
    return refused
