"""
``reap``: jobs of this deployment that still run although nobody waits for them, and runs that lineage still calls open.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from airflow_provider_mlx.backends.base import Backend, FoundJob
from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError, first_line
from airflow_provider_mlx.jobs.ledger import AttemptRecord
from airflow_provider_mlx.lineage.provider import SPOOL_FOLDER
from airflow_provider_mlx.maintenance.listing import AttemptFolder
from airflow_provider_mlx.maintenance.orphans import Judged, Verdict, judge, may_be_active
from airflow_provider_mlx.operators.execution import connect
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .late_lineage import ToldLate, tell_ends
from .ledger_view import LedgerView, view_of
from .output import Answer, columns
from .places import places, scene_of
from .task_states import RunStates


@dataclass(frozen=True)
class Looked:
    """
    One attempt that may have an active job, and what became of it.

    :param done: what was done, empty without ``--apply``.
    """

    step: str
    attempt: int
    backend: str
    job: str
    task_state: str
    verdict: str
    why: str
    done: str = ""


def run_reap(arguments: argparse.Namespace, states: RunStates | None = None) -> Answer:
    """
    Look for orphans, and stop them with ``--apply``.

    :param states: how Airflow is asked, by default as it can be asked here.
    """
    scene = scene_of(None)
    deployment = arguments.deployment or scene.deployment
    found: list[Looked] = []
    told: list[ToldLate] = []
    unread: list[str] = []
    notes: list[str] = []
    spool = scene.settings.local_root / SPOOL_FOLDER
    for place in places(scene, arguments):
        try:
            view = view_of(place, deployment, all_gone=arguments.all_gone, states=states)
            found += [item for item in looked(view, apply=arguments.apply) if item is not None]
            told += tell_ends(view, connect, spool=spool, apply=arguments.apply, say=notes.append)
        except MlxError as error:
            unread.append(f"{place.artifacts.root} ({place.why}) cannot be read: {first_line(error)}")
    failed = bool(unread) or any(item.done.startswith("not ") for item in found)
    if arguments.json:
        shown = {
            "attempts": [asdict(item) for item in found], "lineage": [asdict(item) for item in told], "notes": notes,
            "unread": unread,
        }  # fmt: skip
        return Answer(json.dumps(shown, indent=1), failed)
    lines = [*_table(found, applied=arguments.apply), *_open_runs(told), *notes, *unread]
    return Answer("\n".join(lines), failed)


def looked(view: LedgerView, *, apply: bool) -> Iterable[Looked | None]:
    """Ask about every attempt of this deployment that may be active; only active jobs are told of."""
    for _, attempt in may_be_active(view.ours):
        identity = view.identity_of(attempt)
        if identity is not None:
            yield _look(view, identity, attempt, apply=apply)


def _look(view: LedgerView, identity: TaskInstanceIdentity, attempt: AttemptFolder, *, apply: bool) -> Looked | None:
    ledger = view.ledger(identity, attempt.number)
    try:
        record = ledger.read_record()
        if record is None or record.job != identity.job_name(attempt.number):
            return None
        backend = connect(record, view.store)
        handle = ledger.read_handle()
        job = backend.find(record.job, handle.location if handle else None)
    except BackendUnavailable as error:
        return _told(identity, attempt.number, None, None, Judged(Verdict.LEAVE, f"no answer: {first_line(error)}"))
    except MlxError as error:
        return _told(identity, attempt.number, None, None, Judged(Verdict.LEAVE, first_line(error)), done="not asked")
    if job is None or job.status.state.finished:
        return None
    state = view.task_state(identity)
    judged = judge(
        job.status, task_state=state, stop_requested="stop_requested" in attempt.objects,
        # A database is doubted only where it says that a task is gone.
        knows_runs=state != "removed" or view.knows_runs, ours=job.request_digest == record.request_digest,
    )  # fmt: skip
    done = _stop(view, identity, attempt.number, backend, job, judged) if apply else ""
    return _told(identity, attempt.number, record, state, judged, done=done)


def _stop(
    view: LedgerView, identity: TaskInstanceIdentity, number: int, backend: Backend, job: FoundJob, judged: Judged
) -> str:
    """Mark, then cancel: a worker that comes now finds the mark and does not adopt the job."""
    if judged.verdict is not Verdict.STOP:
        return ""
    try:
        view.ledger(identity, number).request_stop(reason=f"reaped: {judged.why}", now=view.now())
        backend.cancel(job.handle)
    except MlxError as error:
        return f"not stopped: {first_line(error)}"
    return "asked to stop"


def _told(
    identity: TaskInstanceIdentity, number: int, record: AttemptRecord | None, state: str | None, judged: Judged,
    *, done: str = "",
) -> Looked:  # fmt: skip
    return Looked(
        str(identity), number, record.backend if record else "", identity.job_name(number), state or "unknown",
        judged.verdict.value, judged.why, done,
    )  # fmt: skip


def _open_runs(told: list[ToldLate]) -> list[str]:
    if not told:
        return []
    rows = [(f"attempt {item.attempt} of {item.step}", item.ended, item.done or "`--apply` tells it") for item in told]
    return ["", "runs whose end was not told:", *columns(rows)]


def _table(found: list[Looked], *, applied: bool) -> list[str]:
    if not found:
        return ["no job of this deployment is active without a result"]
    rows = [("verdict", "backend", "job", "why", "done")]
    rows += [(item.verdict, item.backend, item.job, item.why, item.done) for item in found]
    stops = sum(item.verdict == Verdict.STOP.value for item in found)
    end = "" if applied or not stops else f"nothing was changed; `--apply` stops {stops}"
    return [*columns([row if applied else row[:4] for row in rows]), *([end] if end else [])]
