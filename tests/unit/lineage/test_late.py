"""``reap`` tells the ends of runs whose tasks died, on a real folder and by the real OpenLineage client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, State, Usage
from airflow_provider_mlx.cli import reap as reap_module
from airflow_provider_mlx.cli.reap import run_reap
from airflow_provider_mlx.jobs.attempt import ActiveAttempt
from airflow_provider_mlx.jobs.collection import collect
from airflow_provider_mlx.lineage import emitter, provider
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.unit.cli.test_maintenance_commands import NOW, Root, airflow, chosen
from tests.unit.lineage.conftest import events_in

ENDED = (NOW + timedelta(minutes=1)).isoformat()


@dataclass
class Backend:
    """A backend that has some jobs, and writes the result of a finished one only when it is collected."""

    statuses: dict[str, JobStatus] = field(default_factory=dict)
    leaves: dict[str, bytes] = field(default_factory=dict)
    name = "c"
    needs_deployment_id = True
    has_tasks = False

    def find(self, name, location=None):
        status = self.statuses.get(name)
        return None if status is None else FoundJob(JobHandle("c", name, "uid"), status, "digest")

    def collect(self, handle, request):
        for uri, data in self.leaves.items():
            ObjectStore().create(uri, data)

    def what_runs(self, request):
        return "fit"

    def usage(self, handle):
        return Usage()

    def link(self, handle):
        return None


@pytest.fixture(autouse=True)
def fresh_breaker(monkeypatch):
    monkeypatch.setattr(emitter.PROCESS_BREAKER, "open", False)
    monkeypatch.setattr(emitter.ROOT_BREAKER, "open", False)


@pytest.fixture
def backend(monkeypatch):
    found = Backend()
    monkeypatch.setattr(reap_module, "connect", lambda record, store: found)
    return found


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__MLX__LOCAL_ROOT", str(tmp_path / "local_root"))
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "prod")
    (tmp_path / "root").mkdir()
    return Root(tmp_path / "root")


class Died:
    """A task that has told of its job's start, and died."""

    def __init__(self, root, backend, context, *, number=1, task="train"):
        self.root, self.context = root, context
        self.identity = root.attempt(task, number=number)
        self.folder = root.folder / self.identity.attempt_folder(number)
        self.name = self.identity.job_name(number)
        store = ObjectStore()
        from airflow_provider_mlx.jobs.ledger import AttemptLedger

        self.ledger = AttemptLedger(store, root.uri, self.identity, number)
        record = self.ledger.read_record()
        self.active = ActiveAttempt(
            self.ledger, record, backend, JobHandle("c", self.name), log=SimpleNamespace(close=lambda: None)
        )
        self.lineage = provider.step_lineage(
            context["task"], context, identity=self.identity, store=store, root=root.uri, spool=root.folder / "spool"
        )
        self.lineage.started(self.active)
        root.age(self.folder, 1 / 24)

    def leaves(self, name, **content):
        head = {"protocol": 1, "step": {"job": self.name}, "timings": {"finished_at": ENDED}}
        (self.folder / name).write_text(json.dumps({**head, **content}))
        self.root.age(self.folder, 1 / 24)


@pytest.fixture
def died(root, backend, context, events_file):
    context["ti"].dag_id, context["ti"].run_id = "dag", "r1"
    return lambda **given: Died(root, backend, context, **given)


def reaped(root, states, **given):
    return json.loads(run_reap(chosen(root, **{"apply": True, **given}), states).text)


FAILED = airflow(r1={"train": "failed"})


def test_a_job_that_failed_after_its_task_had_died_is_told_once(root, backend, died, events_file):
    task = died()
    backend.statuses[task.name] = JobStatus(State.FAILED, "exit code 1")
    task.leaves("error.json", reason="StepFailed", type="ValueError", message="boom")
    (told,) = reaped(root, FAILED)["lineage"]
    assert (told["attempt"], told["ended"], told["done"]) == (1, "StepFailed", "told")
    start, end = events_in(events_file)
    assert (start["eventType"], end["eventType"], end["eventTime"]) == ("START", "FAIL", ENDED)
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["run"]["facets"]["parent"] == end["run"]["facets"]["parent"]
    assert "ValueError: boom" in end["run"]["facets"]["errorMessage"]["message"]
    assert "reportedByTry" not in end["run"]["facets"]["mlx_remoteJob"]
    assert reaped(root, FAILED)["lineage"] == []
    assert len(events_in(events_file)) == 2


def test_what_would_be_told_is_shown_and_not_done(root, backend, died, events_file):
    task = died()
    backend.statuses[task.name] = JobStatus(State.FAILED, "exit code 1")
    (told,) = reaped(root, FAILED, apply=False)["lineage"]
    assert told["done"] == ""
    assert len(events_in(events_file)) == 1
    assert not (task.folder / "lineage-end").exists()


def test_a_job_that_succeeded_and_was_never_collected_is_complete_with_what_it_made(root, backend, died, events_file):
    task = died()
    backend.statuses[task.name] = JobStatus(State.SUCCEEDED)
    body = {"protocol": 1, "step": {"job": task.name}, "outputs": {}, "metrics": {"auc": 0.9}, "skipped": None}
    backend.leaves = {f"{task.ledger.uri}/result.json": json.dumps(body).encode()}
    reaped(root, FAILED)
    end = events_in(events_file)[1]
    assert end["eventType"] == "COMPLETE"
    assert end["run"]["facets"]["mlx_metrics"]["metrics"] == [{"name": "auc", "value": 0.9}]


@pytest.mark.parametrize(
    ("leave", "kind", "reason"),
    [
        pytest.param({}, "FAIL", "Preempted", id="gone without a word"),
        pytest.param({"stop_requested": {"reason": "killed"}}, "ABORT", "JobCancelled", id="gone since it was to stop"),
    ],
)
def test_a_job_that_is_gone(root, died, events_file, leave, kind, reason):
    task = died()
    for name, content in leave.items():
        task.leaves(name, **content)
    reaped(root, FAILED)
    end = events_in(events_file)[1]
    assert (end["eventType"], end["run"]["facets"]["mlx_remoteJob"]["reason"]) == (kind, reason)


def test_a_job_that_was_stopped_is_aborted(root, backend, died, events_file):
    task = died()
    backend.statuses[task.name] = JobStatus(State.STOPPED, "it was stopped")
    reaped(root, FAILED)
    assert events_in(events_file)[1]["eventType"] == "ABORT"


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(airflow(r1={"train": "running"}), id="its task runs"),
        pytest.param(airflow(r1={"train": "up_for_retry"}), id="its next try adopts it"),
        pytest.param(airflow(r1=None), id="Airflow cannot be asked"),
        pytest.param(airflow(), id="this Airflow knows no run of the ledger"),
    ],
)
def test_a_run_whose_end_somebody_may_still_tell_is_left_open(root, backend, died, events_file, states):
    task = died()
    backend.statuses[task.name] = JobStatus(State.FAILED)
    assert reaped(root, states)["lineage"] == []
    assert len(events_in(events_file)) == 1


def test_a_job_that_still_runs_is_left_open(root, backend, died, events_file):
    task = died()
    backend.statuses[task.name] = JobStatus(State.ACTIVE, running=True)
    backend.cancel = lambda handle: None
    assert reaped(root, FAILED)["lineage"] == []


def test_an_attempt_that_was_followed_by_another_is_told_of_while_its_task_runs(root, backend, died, events_file):
    first, second = died(), died(number=2)
    for task in (first, second):
        backend.statuses[task.name] = JobStatus(State.STOPPED)
    (told,) = reaped(root, airflow(r1={"train": "running"}))["lineage"]
    assert told["attempt"] == 1


def test_a_worker_that_told_its_end_is_not_repeated(root, backend, died, events_file):
    task = died()
    task.leaves("result.json", outputs={}, metrics={}, skipped=None)
    task.lineage.ended(task.active, collect(task.ledger, task.active.record))
    root.age(task.folder, 1 / 24)
    backend.statuses[task.name] = JobStatus(State.SUCCEEDED)
    assert reaped(root, FAILED)["lineage"] == []
    assert [event["eventType"] for event in events_in(events_file)] == ["START", "COMPLETE"]


def test_without_a_transport_nothing_is_marked_as_told(root, backend, died, monkeypatch):
    task = died()
    backend.statuses[task.name] = JobStatus(State.FAILED)
    monkeypatch.setattr(provider, "has_transport", lambda: False)
    (told,) = reaped(root, FAILED)["lineage"]
    assert told["done"].startswith("not told")
    assert not (task.folder / "lineage-end").exists()


def test_a_start_that_cannot_be_read_is_said_and_holds_up_no_other(root, backend, died, events_file):
    broken, whole = died(), died(task="other")
    (broken.folder / "lineage-start").write_text("{}")
    root.age(broken.folder, 1 / 24)
    for task in (broken, whole):
        backend.statuses[task.name] = JobStatus(State.FAILED)
    answer = reaped(root, airflow(r1={"train": "failed", "other": "failed"}))
    assert any("cannot be read" in note for note in answer["notes"])
    assert [event["eventType"] for event in events_in(events_file)] == ["START", "START", "FAIL"]


def test_the_identity_of_a_run_is_the_folders(died):
    assert died().identity == TaskInstanceIdentity("prod", "dag", "r1", "train")
