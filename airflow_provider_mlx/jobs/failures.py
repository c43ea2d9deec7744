"""From what a job left behind to one of our exceptions: a table of reasons, and one place that builds the sentence."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx import exceptions
from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.exceptions import Disposition, MlxError
from airflow_provider_mlx.runtime.protocol import EXIT_TAMPERED, PEER, STOP
from airflow_provider_mlx.scrub import scrub
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .decision import Watch

LIMITS: Final[Mapping[Watch, str]] = {
    Watch.TIMED_OUT: "the step's deadline passed",
    Watch.QUEUED_TOO_LONG: "the step waited longer than the target's `max_queue`",
    Watch.GAVE_UP: "the step waited longer than the target's `give_up_pending_after`",
}
"""What is said of a job that is stopped at a limit."""

_LIMIT_ERRORS: Final[Mapping[Watch, tuple[type[MlxError], str]]] = {
    Watch.TIMED_OUT: (
        exceptions.JobTimeout,
        "raise `Resources(timeout=…)` or the target's `max_runtime`, or make the step faster",
    ),
    Watch.QUEUED_TOO_LONG: (
        exceptions.JobTimeout, "raise the target's `max_queue`, or give it a queue with more room",
    ),
    Watch.GAVE_UP: (exceptions.CapacityUnavailable, "add a further target to the list, or wait longer"),
}  # fmt: skip

_BY_BACKEND: Final[Mapping[type[MlxError], tuple[str, str]]] = {
    exceptions.Preempted: (
        "the backend took the job away", "another attempt follows if `preemptions` or `retries` allow",
    ),
    exceptions.CapacityUnavailable: (
        "the backend has no room for the job", "add a further target to the list, ask for less, or try again later",
    ),
    exceptions.ImageUnavailable: (
        "the job could not start, since its image cannot be had",
        "check the image's name, that the cluster reaches its registry, and the registry's credentials in the target",
    ),
    exceptions.JobMisconfigured: (
        "the job could not start", "mend what is named here, in the target or where the job runs, and clear the task",
    ),
    exceptions.OutOfMemory: (
        "the job needed more memory than it was given", "ask for more with `Resources(memory=…)`, or load less at once",
    ),
    exceptions.JobTimeout: (
        "the backend ended the job at a limit of its own",
        "raise `Resources(timeout=…)` or the target's `max_runtime`, or make the step faster",
    ),
}  # fmt: skip
"""What is said where the backend knows why a job failed and the job itself has left no word; and what to do."""
_NO_WORD: Final = "the job's own log says more; a process that is killed leaves no traceback"

REASONS: Final[Mapping[str, type[MlxError]]] = {
    name: kind
    for name, kind in vars(exceptions).items()
    if isinstance(kind, type) and issubclass(kind, MlxError) and kind is not MlxError
}
"""Every reason that ``error.json`` or a backend may name; an unknown word is a plain failure of the step."""


_OWN_CODE: Final = "the traceback in the log above has the lines of the DAG file; fix the step and clear the task"


_TAMPERED: Final = "the job refused to start: its bundle or context is not the one that was submitted"
_TAMPERED_REMEDY: Final = (
    "the log has both digests: somebody wrote to the artifact root; remove that object, look at who may write there, "
    "and clear the task"
)


def replay_line(identity: TaskInstanceIdentity, *, attempt: int, request_digest: str) -> str:
    """
    The command that runs an attempt again on a developer's machine.

    It stands in the task's log, so the digest in it is Airflow's own word about what was run: the ledger alone, which
    lies where others may write, is not believed.
    """
    words = ["python", "-m", "airflow_provider_mlx", "replay", identity.dag_id, identity.run_id, identity.task_id]
    words += ["--attempt", str(attempt)]
    words += ["--map-index", str(identity.map_index)] if identity.map_index >= 0 else []
    words += ["--deployment", identity.deployment_id] if identity.deployment_id != "default" else []
    return shlex.join([*words, "--digest", request_digest[:32], "--debug"])


def describe_job(identity: TaskInstanceIdentity, *, attempt: int, backend: str, job: str) -> str:
    """Which step and job, for messages."""
    return f"{identity} · attempt {attempt} · {backend} job {job}"


def explain(
    error: Mapping[str, Any] | None, status: JobStatus, *, job: str, attempt: int, url: str | None,
    log_tail: Sequence[str], stop_reason: Watch | None, replay: str = "",
) -> MlxError:  # fmt: skip
    """
    The exception for a job that ended without a result.

    :param replay: the command that runs the attempt again elsewhere.

    The job's own word comes first, but for three cases in which it knows no more than that something happened to it:
    we stopped it at its deadline; it was told to stop, and the backend says that it took the job away; or its ranks
    have lost one another, and the backend says why.
    """
    if error is not None and stop_reason is None and not _backend_knows_better(error, status):
        return from_error(error, job=job, attempt=attempt, url=url, replay=replay)
    return from_status(status, job=job, attempt=attempt, url=url, log_tail=log_tail, stop_reason=stop_reason)


def _backend_knows_better(error: Mapping[str, Any], status: JobStatus) -> bool:
    backend_says = REASONS.get(status.failure or "")
    if backend_says is None:
        return False
    taken = backend_says.disposition is Disposition.NEXT_ATTEMPT
    stopped = error.get("reason") == "JobCancelled" or error.get("follows") == STOP
    return (taken and stopped) or error.get("follows") == PEER


def from_error(error: Mapping[str, Any], *, job: str, attempt: int, url: str | None, replay: str = "") -> MlxError:
    """The exception that ``error.json`` stands for."""
    kind = REASONS.get(str(error.get("reason")), exceptions.StepFailed)
    name, message = str(error.get("type") or ""), str(error.get("message") or "")
    said = ": ".join(part for part in (name, message) if part) or "it left no message"
    own_code = kind is exceptions.StepFailed and name != "StepFailed"  # else it is the runtime that refuses
    if own_code:  # Airflow hands an exception's text on: to callbacks, and to whoever reads its events
        said = scrub(said)
    what = f"the step failed in its own code: {said}" if own_code else message or said
    if error.get("node") is not None:
        rank = "" if error.get("rank") is None else f"rank {error['rank']} on "
        what = f"{rank}node {error['node']}: {what}"
    remedy = str(error.get("remedy") or "")
    if own_code and not remedy:
        remedy = f"{_OWN_CODE}; or replay it in your checkout: {replay}" if replay else _OWN_CODE
    # The traceback is in the log already, mapped to the DAG file: repeating its end would hide the sentence.
    return _build(
        kind, what, where=_place(error), job=job, remedy=remedy, url=url, attempt=attempt, log_tail=(),
        exit_code=error.get("exit_code"),
    )  # fmt: skip


def from_status(
    status: JobStatus, *, job: str, attempt: int, url: str | None, log_tail: Sequence[str], stop_reason: Watch | None
) -> MlxError:
    """The exception for a job that ended without an ``error.json``."""
    if stop_reason is not None:
        kind, remedy = _LIMIT_ERRORS[stop_reason]
        what = f"{LIMITS[stop_reason]} and its job was stopped"
        return _build(kind, what, job=job, url=url, attempt=attempt, log_tail=log_tail, remedy=remedy)
    said, _, advice = (status.reason or "").partition(" → ")
    kind = REASONS.get(status.failure or "", exceptions.StepFailed)
    if status.state is State.STOPPED and status.failure is None:
        kind, what, remedy = exceptions.JobCancelled, "the job was stopped", "clear the task to run it again"
    elif status.exit_code == EXIT_TAMPERED and status.failure is None:
        kind, what, remedy, said = exceptions.ArtifactError, _TAMPERED, _TAMPERED_REMEDY, ""
    elif kind in _BY_BACKEND:
        what, remedy = _BY_BACKEND[kind]
    else:
        code = f" with exit status {status.exit_code}" if status.exit_code is not None else ""
        what, remedy = f"the job failed{code} and left no error.json", _NO_WORD
    return _build(
        kind, f"{what}: {said}" if said else what, job=job, url=url, attempt=attempt, log_tail=log_tail,
        remedy=advice or remedy, exit_code=status.exit_code,
    )  # fmt: skip


def result_missing(*, job: str, attempt: int, uri: str, url: str | None, log_tail: Sequence[str]) -> MlxError:
    """The backend says success and there is no result."""
    return exceptions.ResultMissing(
        f"the backend says that the job succeeded, and there is no result.json under {uri}",
        job=job, url=url, attempt=attempt, log_tail=log_tail,
        remedy="check that the job may create objects there (role, service account, endpoint); "
        "finished work is not run again by itself: clear the task to do so",
    )  # fmt: skip


def lost(status: JobStatus, *, job: str, attempt: int) -> MlxError:
    """The job is gone and left nothing."""
    return exceptions.Preempted(
        f"the job was lost: {status.reason or 'the backend does not know it any more'}",
        job=job, attempt=attempt, remedy="another attempt follows if `preemptions` or `retries` allow one",
    )  # fmt: skip


def _build(kind: type[MlxError], what: str, *, exit_code: Any = None, **fields: Any) -> MlxError:
    if issubclass(kind, exceptions.InvalidStep):
        return kind(what, where=fields.get("job", ""), remedy=fields.get("remedy", ""))
    built = kind(what, **fields)
    if isinstance(built, exceptions.StepFailed) and isinstance(exit_code, int):
        built.exit_code = exit_code
    return built


def _place(error: Mapping[str, Any]) -> str:
    frames = [frame for frame in error.get("frames") or () if isinstance(frame, Mapping)]
    own = [frame for frame in frames if frame.get("user")] or frames
    if not own:
        return ""
    last = own[-1]
    return f"{last.get('file')}:{last.get('line')}, in {last.get('function')}"
