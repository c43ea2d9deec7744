"""Stopping a job that no task waits for any more, by whoever found it: a trigger, or the command ``reap``."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_mlx.backends.base import Backend, State

from .attempt import check_request
from .ledger import AttemptLedger, AttemptRecord


def stop_if_active(
    ledger: AttemptLedger, record: AttemptRecord, backend: Backend, *, reason: str, now: datetime
) -> bool:
    """
    Mark the attempt and ask its job to stop, if it is active; whether it was.

    :raises BackendUnavailable: no definite answer; nothing else was tried.
    :raises JobConflict: the job of this name is somebody else's.
    """
    handle = ledger.read_handle()
    found = backend.find(record.job, handle.location if handle else None)
    if found is None or found.status.state is not State.ACTIVE:
        return False
    check_request(found.request_digest, record, str(ledger.identity))
    ledger.request_stop(reason=reason, now=now)
    if not found.status.stopping:
        backend.cancel(found.handle)
    return True
