"""The other half of ``reap``: the ends of runs that were told to begin, and whose tasks died before they said more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_mlx.backends.base import Backend, JobHandle, JobStatus, State
from airflow_provider_mlx.exceptions import JobCancelled, MlxError, first_line
from airflow_provider_mlx.jobs.attempt import ActiveAttempt
from airflow_provider_mlx.jobs.collection import Collected, collect
from airflow_provider_mlx.jobs.decision import ENDINGS, Ending, LedgerSays
from airflow_provider_mlx.jobs.failures import describe_job, explain, lost, result_missing
from airflow_provider_mlx.jobs.ledger import AttemptLedger, AttemptRecord
from airflow_provider_mlx.lineage.provider import late_lineage
from airflow_provider_mlx.maintenance.untold import Untold, is_left_alone, is_over, untold
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .ledger_view import LedgerView

Connect = Callable[[AttemptRecord, Any], Backend]


@dataclass(frozen=True)
class ToldLate:
    """
    One run that was left open.

    :param ended: how, in the words of ``mlx_remoteJob``.
    :param done: what was done, empty without ``--apply``.
    """

    step: str
    attempt: int
    ended: str
    done: str = ""


def tell_ends(
    view: LedgerView, connect: Connect, *, spool: Path, apply: bool, say: Callable[[str], None]
) -> Iterator[ToldLate]:
    """
    Look at every attempt of this deployment whose end was not told, and tell it with ``apply``.

    :param connect: the backend that a record names.
    :param spool: where events are kept that cannot be sent.
    :param say: prints one line of ours.
    """
    for item in untold(view.ours, view.now()):
        identity = view.identity_of(item.attempt)
        if identity is None:
            continue
        try:
            found = _ended(view, identity, item, connect, bring=apply)
        except MlxError as error:  # no answer, or a record that is none: another time
            say(f"lineage: the end of attempt {item.attempt.number} of {identity} is not known: {first_line(error)}")
            continue
        if found is None:
            continue
        active, outcome = found
        done = ""
        if apply:
            lineage = late_lineage(
                identity, store=view.store, root=view.root, spool=spool, ended=item.attempt.modified, say=say
            )
            if lineage is not None:
                lineage.ended(active, outcome)
            done = "told" if lineage is not None else "not told: OpenLineage has no transport here"
        ended = "succeeded" if isinstance(outcome, Collected) else outcome.reason
        yield ToldLate(str(identity), item.attempt.number, ended, done)


def _ended(
    view: LedgerView, identity: TaskInstanceIdentity, item: Untold, connect: Connect, *, bring: bool
) -> tuple[ActiveAttempt, Collected | MlxError] | None:
    """
    How an attempt has ended; ``None`` if it has not, or somebody else may tell it.

    :param bring: what the job could not write itself is brought into the artifact root first.
    """
    state = view.task_state(identity)
    if is_left_alone(item, task_state=state, knows_runs=state != "removed" or view.knows_runs):
        return None
    ledger = view.ledger(identity, item.attempt.number)
    record, handle = ledger.read_record(), ledger.read_handle()
    if record is None or record.job != identity.job_name(item.attempt.number):
        return None
    backend = connect(record, view.store)
    found = backend.find(record.job, handle.location if handle else None)
    if found is not None and found.request_digest != record.request_digest:
        return None
    status = found.status if found else JobStatus(State.ABSENT)
    if not is_over(status.state, item, seen_everywhere=backend.needs_deployment_id, now=view.now()):
        return None
    if found is not None and bring:
        backend.collect(found.handle, record.request)
    known = found.handle if found else handle or JobHandle(backend.name, record.job)
    log: Any = SimpleNamespace(tail=(), close=lambda: None)  # the job's log stands in the task's, or is gone
    active = ActiveAttempt(ledger, record, backend, known, log=log)
    return active, outcome_of(ledger, record, status, url=backend.link(known))


def outcome_of(
    ledger: AttemptLedger, record: AttemptRecord, status: JobStatus, *, url: str | None
) -> Collected | MlxError:
    """The result of an attempt that is over, or why there is none; decided as by a worker that has watched it."""
    error = ledger.read_error()
    said = LedgerSays.ERROR if error is not None else LedgerSays.NOTHING
    ending = ENDINGS[status.state, LedgerSays.RESULT if ledger.read_result() is not None else said]
    if ending is Ending.COLLECT:
        return collect(ledger, record)
    job = describe_job(ledger.identity, attempt=ledger.attempt, backend=record.backend, job=record.job)
    if ending is Ending.RESULT_MISSING:
        return result_missing(job=job, attempt=ledger.attempt, uri=ledger.uri, url=url, log_tail=())
    if ending is Ending.LOST:
        stop = ledger.read_stop_request()
        if stop is None:
            return lost(status, job=job, attempt=ledger.attempt)
        return JobCancelled(f"the job was stopped: {stop.get('reason')}", job=job, attempt=ledger.attempt)
    return explain(error, status, job=job, attempt=ledger.attempt, url=url, log_tail=(), stop_reason=None)
