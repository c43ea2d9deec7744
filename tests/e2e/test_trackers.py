"""Steps that log to a real MLflow server, which their stack names and their code does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DAGS, Drive, Home, Run
from tests.e2e.mlflow_server import MLFLOW, MlflowServer
from tests.security.canaries import Canaries, files_under

STACKS = """\
default: tracked
stacks:
  tracked:
    artifacts: {{}}
    targets: {{default: {{backend: local, python: "{python}"}}}}
    tracking:
      mlflow: {{uri: "{uri}", experiment: churn, secrets: {{MLFLOW_TRACKING_TOKEN: {{env: TOKEN_OF_MLFLOW}}}}}}
"""


@dataclass(frozen=True)
class Tracked:
    """What there is when both steps have ended."""

    run: Run
    home: Home
    server: MlflowServer
    events: list[dict[str, Any]]
    canaries: Canaries

    def ended(self, step: str) -> dict[str, Any]:
        """The facets of the run of a step that has ended."""
        (event,) = (
            event for event in self.events
            if event["job"]["name"] == f"tracked.{step}.{step}" and event["eventType"] == "COMPLETE"
        )  # fmt: skip
        return dict(event["run"]["facets"])

    def logged(self, step: str) -> dict[str, Any]:
        """The run on the server that a step has logged."""
        (found,) = (run for run in self.server.runs("churn") if tags_of(run)["airflow.task_id"] == step)
        return found


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


@pytest.fixture(scope="module")
def tracked(make_home: Callable[..., Home], base: Path) -> Iterator[Tracked]:
    canaries, file, dags = Canaries(), base / "tracked.ndjson", base / "tracked-dags"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    shutil.copytree(DAGS / "tracked", dags, ignore=shutil.ignore_patterns("__pycache__"))
    with MlflowServer.running(base / "mlflow") as server:
        (dags / "mlx_stacks.yaml").write_text(STACKS.format(python=MLFLOW.bin / "python", uri=server.url))
        home = make_home(
            "tracked", dags, shared=False, TOKEN_OF_MLFLOW=canaries.plant("the tracker's token"),
            AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport), AIRFLOW__MLX__LOCAL_ROOT=str(base / "tracked" / "mlx"),
        )  # fmt: skip
        drive = Drive(home, "tracked")
        run = drive["tracked"]
        yield Tracked(run, home, server, [json.loads(line) for line in file.read_text().splitlines()], canaries)
        drive.stop()


def test_a_step_logs_to_the_stacks_experiment_and_its_run_leads_back_to_airflow(tracked: Tracked) -> None:
    assert tracked.run.state == "success", tracked.run.tail()
    found = tracked.logged("train")
    assert [(one["key"], one["value"]) for one in found["data"]["metrics"]] == [("auc", 0.91)]
    tags, facets = tags_of(found), tracked.ended("train")
    dag_run = facets["parent"]["root"]["run"]["runId"]
    assert (tags["airflow.dag_id"], tags["airflow.run_id"], tags["airflow.try_number"]) == (
        "tracked", tracked.run.run_id, "1",
    )  # fmt: skip
    assert tags["mlx.job"] == facets["mlx_remoteJob"]["name"]
    assert tags["openlineage.root_run_id"] == dag_run
    assert "/dags/tracked/runs/" in tags["mlflow.note.content"]
    assert found["info"]["run_name"] == "train"


def test_the_steps_of_a_dag_run_stand_together_and_a_name_of_the_codes_own_counts(tracked: Tracked) -> None:
    train, evaluate = tracked.logged("train"), tracked.logged("evaluate")
    assert tags_of(train)["openlineage.root_run_id"] == tags_of(evaluate)["openlineage.root_run_id"]
    assert tags_of(train)["openlineage.run_id"] != tags_of(evaluate)["openlineage.run_id"]
    assert evaluate["info"]["run_name"] == "mine"
    assert tracked.server.experiments() == ["Default", "churn"]


@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_lineage_names_the_run_and_its_page(tracked: Tracked, step: str) -> None:
    run = tracked.logged(step)["info"]["run_id"]
    (named,) = tracked.ended(step)["mlx_tracker"]["runs"]
    assert named == {"kind": "mlflow", "id": run, "url": f"{tracked.server.url}/#/runs/{run}"}


def test_the_trackers_secret_is_in_no_event_and_not_in_the_ledger(tracked: Tracked) -> None:
    (length,) = (one["value"] for one in tracked.logged("train")["data"]["params"])
    assert length == str(len(tracked.canaries.planted["the tracker's token"])), "the step had it"
    kept = files_under(tracked.home.root / "runs")
    assert any(name.endswith("context.json") for name in kept)
    assert tracked.canaries.found_in({"the events": tracked.events, "the log": tracked.run.log, **kept}) == []
    assert "TOKEN_OF_MLFLOW" in "".join(path.read_text(errors="replace") for path in kept.values()), "its name is kept"
