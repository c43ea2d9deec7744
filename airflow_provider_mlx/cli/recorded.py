"""
A recorded attempt, and what confirms that it is the one that ran. Pure, but for reading.

The ledger lies in a store that others may write to. Digests hold it together: ``job.json`` holds the request, the
request names the digests of the bundle and of ``context.json``, the context those of the inputs. So one digest that
comes from outside the store confirms all of it: that of the request.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.backends.base import FoundJob
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, MlxError, Problem, ResultMissing
from airflow_provider_mlx.jobs.ledger import AttemptLedger, AttemptRecord
from airflow_provider_mlx.runtime.addresses import file_path
from airflow_provider_mlx.runtime.protocol import PROTOCOL
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import request_digest

DIGEST_DIGITS: Final = 32
"""Hex digits of a request's digest that are enough: to find another request with them takes 2¹²⁸ tries."""

WAYS_OUT: Final = (
    "copy `--digest …` from the task's log in Airflow; or run the code of the DAG file with `--code working-tree`; or, "
    "if you know who may write to the artifact root, add `--trust-ledger`"
)


@dataclass(frozen=True)
class Recorded:
    """
    One attempt, as the ledger has it; its parts agree with each other.

    :param outcome: ``result.json`` or ``error.json``, or ``None`` if there is neither.
    """

    identity: TaskInstanceIdentity
    record: AttemptRecord
    context: Mapping[str, Any]
    outcome: Mapping[str, Any] | None

    @property
    def root(self) -> str:
        """The artifact root as the attempt knew it; the store may be reached under another name here."""
        uri: str = self.context["outputs"]["uri"]
        return uri.removesuffix("/" + self.identity.attempt_folder(self.record.attempt))


def read_recorded(ledger: AttemptLedger) -> Recorded:
    """
    Read and check an attempt.

    :raises ResultMissing: it was never submitted, or its record was removed.
    :raises ArtifactError: its parts do not agree.
    """
    data, record = ledger.read_context(), ledger.read_record()
    if data is None or record is None:
        what = "has no record of what was submitted" if data is not None else "is not in the ledger any more"
        raise ResultMissing(
            f"attempt {ledger.attempt} {what}", where=ledger.uri, remedy="name another one with `--attempt`"
        )
    problems = check(ledger.identity, record, data)
    if problems:
        raise ArtifactError(
            "the ledger of this attempt does not agree with itself, and nothing of it is run: "
            + "; ".join(problem.what for problem in problems),
            where=ledger.uri, remedy="somebody wrote to the artifact root: look at who may",
        )  # fmt: skip
    outcome = ledger.read_result() or ledger.read_error()
    return Recorded(ledger.identity, record, json.loads(data), outcome)


def check(identity: TaskInstanceIdentity, record: AttemptRecord, context: bytes) -> list[Problem]:
    """Where a record, its request and its context contradict each other."""
    request = json.dumps(record.request)
    found = hashlib.sha256(context).hexdigest()
    wrong = {
        f"job.json is of the job {record.job}": record.job != identity.job_name(record.attempt),
        f"the request has another digest than job.json says, {record.request_digest}": (
            request_digest(record.request) != record.request_digest
        ),
        f"context.json has another digest than job.json says, {record.context_sha256}": found != record.context_sha256,
        "the request does not name the context's digest": bool(record.bundle_sha256)
        and record.context_sha256 not in request,
        "the request does not name the bundle's digest": record.bundle_sha256 not in request,
    }
    return [Problem(what) for what, holds in wrong.items() if holds]


def check_replayable(recorded: Recorded) -> None:
    """
    Whether there is Python code to run.

    :raises InvalidStep: it was a container's own command, or it speaks another protocol.
    """
    if not recorded.record.bundle_sha256 or "payload" not in recorded.context:
        raise InvalidStep(
            "the attempt ran a container's own command, and has no code of ours to replay",
            remedy="run its image with the command that job.json holds",
        )
    if recorded.context.get("protocol") != PROTOCOL:
        raise InvalidStep(
            f"the attempt speaks protocol {recorded.context.get('protocol')!r}, this release speaks {PROTOCOL}",
            remedy="replay it with the release of airflow-provider-mlx that ran it",
        )


def confirmation(
    recorded: Recorded, *, digest: str | None, private: bool, trusted: bool, ask_backend: Callable[[], FoundJob | None]
) -> str:
    """
    What, outside the artifact root, confirms the recorded request; a sentence.

    :param digest: what the user copied from the task's log: Airflow's own record.
    :param private: the artifact root is a folder that this user alone may write to, as their DAG files are.
    :param ask_backend: the job of this name, asked with the settings of the stack file, not with those of the ledger.
    :raises ArtifactError: something contradicts the ledger.
    :raises InvalidStep: nothing confirms it.
    """
    wanted = recorded.record.request_digest
    if digest is not None:
        _check_given(digest.lower(), wanted)
        return "`--digest`, which the task's log has, confirms the recorded request"
    if private:
        return "the artifact root is a folder that only you may write to"
    try:
        found = ask_backend()
        said = f"the backend `{recorded.record.backend}` knows no job {recorded.record.job} (any more)"
    except MlxError as error:
        found, said = None, f"the backend `{recorded.record.backend}` could not be asked: {error.what}"
    if found is not None:
        if found.request_digest != wanted:
            raise ArtifactError(
                f"the backend has the job {recorded.record.job} with another request than the ledger records: "
                f"{found.request_digest}, not {wanted}",
                remedy="somebody wrote to the artifact root, or another Airflow has the same `[mlx] deployment_id`",
            )
        return f"the backend `{recorded.record.backend}` confirms the recorded request"
    if trusted:
        return f"nothing confirms the recorded request ({said}); `--trust-ledger` was given"
    raise InvalidStep("nothing outside the artifact root confirms the recorded code", [Problem(said)], remedy=WAYS_OUT)


def is_private(root: str) -> bool:
    """Whether an artifact root is a folder of this user's that nobody else may write to (root aside)."""
    path = file_path(root) if root.startswith("file:") else None
    try:
        facts = path.stat() if path is not None else None
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return facts is not None and facts.st_uid == os.getuid() and not facts.st_mode & others


def _check_given(digest: str, wanted: str) -> None:
    if len(digest) < DIGEST_DIGITS:
        raise InvalidStep(
            f"`--digest` has {len(digest)} digits, and at least {DIGEST_DIGITS} are needed",
            remedy="copy it from the task's log",
        )
    if not wanted.startswith(digest):
        raise ArtifactError(
            f"the ledger's request has the digest {wanted}, not {digest}",
            remedy="is it the same attempt? Name it with `--attempt`; else somebody wrote to the artifact root",
        )
