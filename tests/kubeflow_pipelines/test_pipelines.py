"""Pipelines that are registered, experiments and schedules: the other half of our client, with a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry, RecurringRuns, cron_trigger
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body
from tests.kubeflow_pipelines.server import Server

COMPILED = Path(__file__).parents[1] / "unit" / "backends" / "kubeflow_pipelines" / "compiled"


@pytest.mark.parametrize("file", sorted(COMPILED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_compiled_pipeline_is_registered_once(kubeflow_client: KubeflowPipelinesClient, file: Path) -> None:
    registry = PipelineRegistry(kubeflow_client)
    name = f"{file.stem}-{new_run_id()}"
    assert registry.find_pipeline(name) is None
    made = registry.ensure_version(name, "v-1", file.read_text())
    again = registry.ensure_version(name, "v-1", file.read_text())
    assert again["pipeline_version_id"] == made["pipeline_version_id"]
    registry.ensure_version(name, "v-2", file.read_text())
    assert len(list(registry.versions(made["pipeline_id"]))) == 2
    registry.delete_pipeline(made["pipeline_id"])
    assert registry.find_pipeline(name) is None
    registry.delete_pipeline(made["pipeline_id"])


def test_an_upload_whose_answer_is_lost_is_found(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient
) -> None:
    registry = PipelineRegistry(kubeflow_client)
    content = (COMPILED / "train_gpu.yaml").read_text()
    name = f"lost-{new_run_id()}"
    kubeflow_server.relay.lose_answers("POST /pipelines/upload_version")
    with pytest.raises(BackendUnavailable):
        registry.ensure_version(name, "v-1", content)
    found = registry.ensure_version(name, "v-1", content)
    assert len(list(registry.versions(found["pipeline_id"]))) == 1


def test_an_experiment_is_made_once(kubeflow_client: KubeflowPipelinesClient) -> None:
    name = f"experiment-{new_run_id()}"
    made = kubeflow_client.experiment_id(name)
    assert kubeflow_client.experiment_id(name) == made
    run_id = new_run_id()
    assert kubeflow_client.create_run(run_body(run_id, experiment_id=made))["experiment_id"] == made
    assert [one["run_id"] for one in kubeflow_client.list_runs(experiment_id=made)] == [run_id]


def test_a_schedule_is_made_switched_and_removed(kubeflow_client: KubeflowPipelinesClient) -> None:
    registry, schedules = PipelineRegistry(kubeflow_client), RecurringRuns(kubeflow_client)
    version = registry.ensure_version(
        f"daily-{new_run_id()}", "v-1", (COMPILED / "train_gpu.yaml").read_text()
    )  # fmt: skip
    experiment = kubeflow_client.experiment_id(f"schedules-{new_run_id()}")
    made = schedules.create(
        {
            "display_name": "daily", "experiment_id": experiment, "mode": "ENABLE", "max_concurrency": "1",
            "pipeline_version_reference": {
                "pipeline_id": version["pipeline_id"], "pipeline_version_id": version["pipeline_version_id"],
            },
            "runtime_config": {}, "trigger": cron_trigger("0 6 * * *"),
        }
    )  # fmt: skip
    found = schedules.find("daily", experiment)
    assert found is not None
    assert found["recurring_run_id"] == made["recurring_run_id"]
    schedules.disable(made["recurring_run_id"])
    assert schedules.find("daily", experiment)["status"] == "DISABLED"  # type: ignore[index]
    schedules.enable(made["recurring_run_id"])
    schedules.enable(made["recurring_run_id"])
    schedules.delete(made["recurring_run_id"])
    assert schedules.find("daily", experiment) is None
    schedules.delete(made["recurring_run_id"])
