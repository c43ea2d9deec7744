"""reap and gc at work on a real folder, with an Airflow and a backend of the test's own."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, State
from airflow_provider_mlx.backends.local.process import identify
from airflow_provider_mlx.cli import reap as reap_module
from airflow_provider_mlx.cli.gc import run_gc
from airflow_provider_mlx.cli.reap import run_reap
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep
from airflow_provider_mlx.jobs.ledger import AttemptLedger, AttemptRecord
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

NOW = datetime.now(UTC)
BUNDLES = {"kept": "a" * 64, "old": "b" * 64}


@dataclass
class Cluster:
    """A backend that has some jobs."""

    jobs: dict[str, JobStatus] = field(default_factory=dict)
    digest: str = "digest"
    cancelled: list[str] = field(default_factory=list)
    marked_first: list[bool] = field(default_factory=list)
    root: Path | None = None
    away: bool = False

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        if self.away:
            raise BackendUnavailable("503")
        status = self.jobs.get(name)
        return None if status is None else FoundJob(JobHandle("c", name), status, self.digest)

    def cancel(self, handle: JobHandle) -> None:
        assert self.root is not None
        self.marked_first.append(any(self.root.rglob("stop_requested")))
        self.cancelled.append(handle.name)


@dataclass
class Root:
    """An artifact root with some attempts."""

    folder: Path

    @property
    def uri(self) -> str:
        return self.folder.as_uri()

    def attempt(
        self, task: str, *, run: str = "r1", number: int = 1, bundle: str = "", outcome: str = "", days: float = 0,
        deployment: str = "prod", recorded: bool = True,
    ) -> TaskInstanceIdentity:  # fmt: skip
        identity = TaskInstanceIdentity(deployment, "dag", run, task)
        ledger = AttemptLedger(ObjectStore(), self.uri, identity, number)
        ledger.take(json.dumps({"step": identity.step(try_number=1, attempt=number)}).encode())
        if recorded:
            known: dict[str, Any] = dict.fromkeys(AttemptRecord.__dataclass_fields__)
            known |= {
                "attempt": number, "job": identity.job_name(number), "backend": "c", "settings": {}, "request": {},
                "request_digest": "digest", "bundle_sha256": bundle, "started_at": NOW, "try_number": 1,
            }  # fmt: skip
            ledger.write_record(AttemptRecord(**known))
        folder = self.folder / identity.attempt_folder(number)
        if outcome:
            (folder / outcome).write_text("{}")
            (folder / "outputs").mkdir()
            (folder / "outputs" / "return_value.json").write_text("1" * 1000)
        self.age(folder, days)
        return identity

    def bundle(self, digest: str, *, days: float) -> Path:
        path = self.folder / "bundles" / f"{digest}.zip"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"z" * 500)
        self.age(path, days)
        return path

    @staticmethod
    def age(path: Path, days: float) -> None:
        then = (NOW - timedelta(days=days)).timestamp()
        for item in [path, *path.rglob("*")] if path.is_dir() else [path]:
            os.utime(item, (then, then))

    def names(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}


def airflow(**runs: Mapping[str, str] | None) -> Any:
    """Airflow's answers by run; a run that is not named is not known."""
    return lambda dag_id, run_id: runs.get(run_id, {})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    monkeypatch.setenv("AIRFLOW__MLX__LOCAL_ROOT", str(tmp_path / "local_root"))
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "prod")
    (tmp_path / "root").mkdir()
    return Root(tmp_path / "root")


@pytest.fixture
def cluster(root: Root, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster(root=root.folder)
    monkeypatch.setattr(reap_module, "connect", lambda record, store: found)
    return found


def chosen(root: Root, **given: Any) -> Namespace:
    known = {
        "apply": False, "stack": None, "root": root.uri, "conn_id": None, "deployment": None, "all_gone": False,
        "json": True, "keep_days": 90, "keep_failed_days": 30,
    }  # fmt: skip
    return Namespace(**(known | given))


# --- reap --------------------------------------------------------------------------------------------------------


def reaped(root: Root, states: Any, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_reap(chosen(root, **given), states).text)["attempts"]
    return found


def test_orphans_are_marked_and_then_stopped(root, cluster):
    for task in ("failed", "running", "gone"):
        identity = root.attempt(task)
        cluster.jobs[identity.job_name(1)] = JobStatus(State.ACTIVE, running=True)
    states = airflow(r1={"failed": "failed", "running": "running"})
    dry = {item["step"].split("`")[1]: item["verdict"] for item in reaped(root, states)}
    assert dry == {"failed": "stop", "running": "leave", "gone": "stop"}
    assert cluster.cancelled == []
    assert not any("stop_requested" in name for name in root.names())
    done = {item["step"].split("`")[1]: item["done"] for item in reaped(root, states, apply=True)}
    assert done == {"failed": "asked to stop", "running": "", "gone": "asked to stop"}
    assert sorted(name.split("-")[1] for name in cluster.cancelled) == ["failed", "gone"]
    assert all(cluster.marked_first)
    assert sum("stop_requested" in name for name in root.names()) == 2


def test_an_airflow_that_cannot_be_asked_stops_nothing(root, cluster):
    cluster.jobs[root.attempt("train").job_name(1)] = JobStatus(State.ACTIVE)
    (item,) = reaped(root, airflow(r1=None), apply=True)
    assert (item["verdict"], item["task_state"]) == ("leave", "unknown")


def test_an_airflow_that_knows_nothing_of_the_ledger_stops_nothing(root, cluster):
    cluster.jobs[root.attempt("train").job_name(1)] = JobStatus(State.ACTIVE)
    (item,) = reaped(root, airflow(), apply=True)
    assert "is it the right one" in item["why"]
    assert cluster.cancelled == []
    (item,) = reaped(root, airflow(), apply=True, all_gone=True)
    assert item["done"] == "asked to stop"


def test_a_deleted_dag_is_gone_for_an_airflow_that_knows_other_runs(root, cluster):
    cluster.jobs[root.attempt("train").job_name(1)] = JobStatus(State.ACTIVE)
    root.attempt("other", run="r2", outcome="result.json")
    (item,) = reaped(root, airflow(r2={"other": "success"}), apply=True)
    assert item["done"] == "asked to stop"


def test_other_deployments_jobs_and_jobs_of_another_request_are_not_touched(root, cluster):
    cluster.jobs[root.attempt("theirs", deployment="test").job_name(1)] = JobStatus(State.ACTIVE)
    cluster.jobs[root.attempt("squatted").job_name(1)] = JobStatus(State.ACTIVE)
    cluster.digest = "another"
    (item,) = reaped(root, airflow(r1={"squatted": "failed"}), apply=True)
    assert "not ours" in item["why"]
    assert cluster.cancelled == []


def test_a_backend_without_an_answer_stops_nothing(root, cluster):
    root.attempt("train")
    cluster.away = True
    (item,) = reaped(root, airflow(r1={"train": "failed"}), apply=True)
    assert (item["verdict"], item["done"]) == ("leave", "")


# --- gc ----------------------------------------------------------------------------------------------------------


def collected(root: Root, states: Any, **given: Any) -> list[dict[str, Any]]:
    answer = json.loads(run_gc(chosen(root, **given), states, NOW).text)
    assert answer["unread"] == []
    items: list[dict[str, Any]] = answer["items"]
    return items


def test_old_runs_and_their_bundles_go(root):
    old = root.attempt("train", run="old", outcome="result.json", bundle=BUNDLES["old"], days=100)
    young = root.attempt("train", run="r1", outcome="result.json", bundle=BUNDLES["kept"], days=10)
    root.bundle(BUNDLES["old"], days=100)
    root.bundle(BUNDLES["kept"], days=100)
    states = airflow(r1={"train": "success"}, old={"train": "success"})
    before = root.names()
    dry = collected(root, states)
    assert [(item["kind"], item["done"]) for item in dry] == [("run", ""), ("bundle", "")]
    assert sum(item["size"] for item in dry) == 1002 + 500
    assert root.names() == before
    assert [item["done"] for item in collected(root, states, apply=True)] == ["removed", "removed"]
    gone = before - root.names()
    assert gone == {
        f"{old.attempt_folder(1)}/result.json",
        f"{old.attempt_folder(1)}/outputs/return_value.json",
        f"bundles/{BUNDLES['old']}.zip",
    }
    assert f"{young.attempt_folder(1)}/outputs/return_value.json" in root.names()
    assert collected(root, states, apply=True)[0]["why"].startswith("nothing of it")


def test_a_run_that_airflow_has_deleted_goes_whole(root):
    gone = root.attempt("train", run="old", outcome="error.json", days=100)
    root.attempt("train", run="r1", outcome="result.json", days=10)
    collected(root, airflow(r1={"train": "success"}), apply=True)
    assert not (root.folder / gone.folder).exists()
    assert not (root.folder / "runs/prod/dag/old").exists()


def test_a_run_that_is_not_over_keeps_everything_and_its_bundle(root):
    root.attempt("train", run="old", outcome="result.json", bundle=BUNDLES["old"], days=100)
    root.bundle(BUNDLES["old"], days=100)
    before = root.names()
    (item,) = collected(root, airflow(old={"train": "success", "wait": "up_for_reschedule"}), apply=True)
    assert item["why"] == "the run is not over: wait is up_for_reschedule"
    assert root.names() == before


def test_bundles_of_other_deployments_of_the_root_stay(root):
    root.attempt("train", deployment="test", outcome="result.json", bundle=BUNDLES["old"], days=400)
    root.bundle(BUNDLES["old"], days=400)
    assert collected(root, airflow(), apply=True) == []


def test_a_bundle_that_a_step_used_meanwhile_stays(root, monkeypatch):
    path = root.bundle(BUNDLES["old"], days=100)
    list_it, seen = ObjectStore.list, []

    def then_a_step_starts(self: ObjectStore, uri: str) -> Any:
        found = list(list_it(self, uri))
        seen.append(uri.rpartition("/")[2])
        if seen == ["runs", "bundles", "runs"]:  # nothing is listed after this: the step is in no listing
            self.renew(path.as_uri(), b"z" * 500, older_than=timedelta(days=1), now=NOW)
        return iter(found)

    monkeypatch.setattr(ObjectStore, "list", then_a_step_starts)
    (item,) = collected(root, airflow(), apply=True)
    assert item["done"] == "left: a step has just used it"
    assert path.exists()


def test_a_step_that_records_its_attempt_meanwhile_keeps_its_bundle(root, monkeypatch):
    path = root.bundle(BUNDLES["old"], days=100)
    list_it, seen = ObjectStore.list, []

    def after_a_step(self: ObjectStore, uri: str) -> Any:
        seen.append(uri.rpartition("/")[2])
        if seen == ["runs", "bundles"]:
            root.attempt("train", bundle=BUNDLES["old"])
        return list_it(self, uri)

    monkeypatch.setattr(ObjectStore, "list", after_a_step)
    assert collected(root, airflow(r1={"train": "running"}), apply=True) == []
    assert path.exists()


def test_lineage_events_that_nobody_takes_go_with_the_results_of_their_time(root):
    folder = root.folder / "lineage-spool" / "prod" / "run"
    folder.mkdir(parents=True)
    for name, days in (("old", 91), ("young", 89)):
        (folder / f"{name}.json").write_text("{}")
        root.age(folder / f"{name}.json", days)
    assert [item["kind"] for item in collected(root, airflow(), apply=True)] == ["lineage event"]
    assert [path.name for path in folder.iterdir()] == ["young.json"]


def test_attempts_are_kept_for_a_day_at_least(root):
    with pytest.raises(InvalidStep, match="a day at least"):
        run_gc(chosen(root, keep_days=0), airflow(), NOW)


# --- this machine ------------------------------------------------------------------------------------------------


def local_job(root: Root, tmp_path: Path, name: str, *, days: float, task: str = "", pid: int | None = None) -> Path:
    folder = tmp_path / "local_root" / "local" / "jobs" / name
    folder.mkdir(parents=True)
    outputs = f"{root.uri}/{TaskInstanceIdentity('prod', 'dag', 'r1', task).attempt_folder(1)}" if task else ""
    (folder / "request.json").write_text(json.dumps({"outputs_uri": outputs, "digest": "x"}))
    process = identify(pid) if pid else None
    lease = process.to_wire() if process else {"host": "h", "boot": "b", "pid": 1, "started": "0"}
    (folder / "lease.json").write_text(json.dumps(lease))
    root.age(folder, days)
    return folder


def test_old_job_folders_and_environments_of_this_machine_go(root, tmp_path):
    root.attempt("waiting", days=50)
    old = local_job(root, tmp_path, "old", days=50)
    waiting = local_job(root, tmp_path, "waiting", days=50, task="waiting")
    young = local_job(root, tmp_path, "young", days=5)
    environment = tmp_path / "local_root" / "local" / "environments" / "abc"
    environment.mkdir(parents=True)
    (environment / ".mlx-complete").touch()
    root.age(environment, 50)
    states = airflow(r1={"waiting": "deferred"})
    assert {item["kind"] for item in collected(root, states) if not item["why"]} == {"local job", "environment"}
    collected(root, states, apply=True)
    assert (old.exists(), waiting.exists(), young.exists(), environment.exists()) == (False, True, True, False)


def test_no_environment_goes_while_a_local_job_is_active(root, tmp_path):
    local_job(root, tmp_path, "active", days=50, pid=os.getpid())
    environment = tmp_path / "local_root" / "local" / "environments" / "abc"
    environment.mkdir(parents=True)
    (environment / ".mlx-complete").touch()
    root.age(environment, 50)
    (item,) = collected(root, airflow(), apply=True)
    assert (item["kind"], item["done"]) == ("environment", "left: a local job is active")
    assert environment.exists()
