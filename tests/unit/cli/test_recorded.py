"""A ledger that does not agree with itself, or that nothing outside the store confirms, is not run."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, State
from airflow_provider_mlx.cli.recorded import (
    Recorded,
    check_replayable,
    confirmation,
    is_private,
    read_recorded,
)
from airflow_provider_mlx.exceptions import ArtifactError, BackendUnavailable, InvalidStep, ResultMissing
from airflow_provider_mlx.jobs.ledger import AttemptLedger, AttemptRecord
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import request_digest

ME = TaskInstanceIdentity("prod", "churn", "nightly", "train")
BUNDLE = "b" * 64


def context_of(root: str) -> bytes:
    value = {
        "protocol": 1,
        "nonce": "n",
        "step": ME.step(try_number=1, attempt=1),
        "payload": {"kind": "function", "module": "mlx_step_source", "function": "train"},
        "arguments": {"args": [], "kwargs": {}},
        "outputs": {"uri": f"{root}/{ME.attempt_folder(1)}"},
    }
    return json.dumps(value).encode()


def record_of(context: bytes, **changes: object) -> AttemptRecord:
    digest = hashlib.sha256(context).hexdigest()
    request = {"name": ME.job_name(1), "args": [BUNDLE, digest]}
    known = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    known |= {
        "attempt": 1, "job": ME.job_name(1), "backend": "kubernetes", "stack": "prod", "target": "gpu",
        "target_index": 0, "settings": {}, "request": request, "request_digest": request_digest(request),
        "context_sha256": digest, "bundle_sha256": BUNDLE, "started_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return AttemptRecord(**(known | changes))


@pytest.fixture
def ledger(tmp_path: Path) -> AttemptLedger:
    return AttemptLedger(ObjectStore(), tmp_path.as_uri(), ME, 1)


def recorded(ledger: AttemptLedger, **changes: object) -> Recorded:
    context = context_of(ledger.uri.removesuffix("/" + ME.attempt_folder(1)))
    ledger.take(context)
    ledger.write_record(record_of(context, **changes))
    return read_recorded(ledger)


def test_an_attempt_that_agrees_with_itself_is_read(ledger, tmp_path):
    found = recorded(ledger)
    assert found.root == tmp_path.as_uri()
    check_replayable(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"request_digest": "0" * 64}, "the request has another digest"),
        ({"context_sha256": "0" * 64}, "context.json has another digest"),
        ({"bundle_sha256": "c" * 64}, "the request does not name the bundle's digest"),
        ({"job": "another"}, "job.json is of the job another"),
    ],
)
def test_a_ledger_that_contradicts_itself_is_refused(ledger, changes, said):
    with pytest.raises(ArtifactError, match=said):
        recorded(ledger, **changes)


def test_an_attempt_that_was_never_recorded(ledger):
    ledger.take(b"{}")
    with pytest.raises(ResultMissing, match="no record of what was submitted"):
        read_recorded(ledger)


def test_a_containers_own_command_has_no_code_of_ours(ledger):
    found = recorded(ledger)
    without = replace(found, record=replace(found.record, bundle_sha256=""))
    with pytest.raises(InvalidStep, match="container's own command"):
        check_replayable(without)


# --- what confirms it --------------------------------------------------------------------------------------------


def job(digest: str) -> FoundJob:
    return FoundJob(JobHandle("kubernetes", ME.job_name(1)), JobStatus(State.FAILED), digest)


def confirmed(found: Recorded, **given: object) -> str:
    return confirmation(
        found, **({"digest": None, "private": False, "trusted": False, "ask_backend": lambda: None} | given)
    )


def test_the_digest_of_the_tasks_log_confirms_without_any_other_question(ledger):
    found = recorded(ledger)

    def never() -> None:
        raise AssertionError

    assert "--digest" in confirmed(found, digest=found.record.request_digest[:32].upper(), ask_backend=never)


def test_the_backend_confirms(ledger):
    found = recorded(ledger)
    assert "confirms" in confirmed(found, ask_backend=lambda: job(found.record.request_digest))


def test_a_private_folder_is_as_good_as_the_dag_files(ledger):
    assert "only you may write" in confirmed(recorded(ledger), private=True)


def test_what_contradicts_the_ledger_is_never_overruled(ledger):
    found = recorded(ledger)
    with pytest.raises(ArtifactError, match="with another request"):
        confirmed(found, ask_backend=lambda: job("0" * 64), trusted=True)
    with pytest.raises(ArtifactError, match="not 0000"):
        confirmed(found, digest="0" * 32, trusted=True, private=True)


def test_a_digest_of_a_few_digits_proves_nothing(ledger):
    found = recorded(ledger)
    with pytest.raises(InvalidStep, match="at least 32"):
        confirmed(found, digest=found.record.request_digest[:12])


def unavailable() -> None:
    raise BackendUnavailable("503")


@pytest.mark.parametrize(("ask", "said"), [(lambda: None, r"knows no job .* \(any more\)"), (unavailable, "503")])
def test_what_nothing_confirms_is_refused_with_the_ways_out(ledger, ask, said):
    found = recorded(ledger)
    with pytest.raises(InvalidStep, match=said) as refusal:
        confirmed(found, ask_backend=ask)
    assert "--trust-ledger" in str(refusal.value)
    assert "working-tree" in str(refusal.value)
    assert "was given" in confirmed(found, ask_backend=ask, trusted=True)


def test_a_private_folder(tmp_path):
    os.chmod(tmp_path, 0o755)
    assert is_private(tmp_path.as_uri())
    os.chmod(tmp_path, 0o775)
    assert not is_private(tmp_path.as_uri())
    assert not is_private((tmp_path / "nothing").as_uri())
    assert not is_private("s3://bucket/root")
