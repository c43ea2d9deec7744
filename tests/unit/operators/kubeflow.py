"""A server of Kubeflow Pipelines for the tests of operators and sensors, and a connection to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from tests.operator_fixtures import heard, in_a_dag
from tests.unit.backends.kubeflow_pipelines.objects import workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import driver
from tests.unit.backends.kubeflow_pipelines.server import Server, error, serving

__all__ = ["connected", "heard", "in_a_dag", "server"]

FOLDER = Path(__file__).parents[1] / "backends" / "kubeflow_pipelines"
COMPILED = FOLDER / "compiled" / "train_gpu.yaml"
TEXT = COMPILED.read_text()
PIPELINE = parse_pipeline(TEXT)
CONN_ID = "kfp"


class Registry(Server):
    """
    With versions that hold what was uploaded, and runs that end as they are made.

    :ivar ends: the state in which runs are born, and the Workflow that they have.
    """

    ends: str = "SUCCEEDED"

    def register(self, name: str, *versions: str) -> None:
        self.pipelines[name] = f"p-{len(self.pipelines)}"
        content = {"pipeline_spec": dict(PIPELINE.spec), "platform_spec": PIPELINE.platform}
        for version in versions:
            self.versions.insert(0, {
                "name": version, "display_name": version, "pipeline_id": self.pipelines[name],
                "pipeline_version_id": f"id-{version}", "pipeline_spec": content,
            })  # fmt: skip

    def _pipelines(self, asked: Any, rest: str) -> tuple[int, Any]:
        if "/versions/" in rest:
            wanted = rest.rpartition("/")[2]
            found = [one for one in self.versions if one["pipeline_version_id"] == wanted]
            return (200, found[0]) if found else (404, error(5, "no such version"))
        status, answer = super()._pipelines(asked, rest)
        if rest == "upload_version" and status == 200:
            documents = list(yaml.safe_load_all(_file(asked)))
            spec = (
                documents[0]
                if len(documents) == 1
                else dict(zip(("pipeline_spec", "platform_spec"), documents, strict=True))
            )
            answer |= {"pipeline_id": asked.query["pipelineid"], "pipeline_spec": spec}
        return status, answer

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        status, run = super()._create(body)
        if status == 200:
            run["state"] = self.ends
            node = driver(TASK, artifacts={"model": "minio://b/model"}, parameters={"score": 0.5})
            self.manifests[run["run_id"]] = workflow(node, phase=self.ends.title())
        return status, run


def _file(asked: Any) -> bytes:
    """The one part of a form."""
    whole = message_from_bytes(f"Content-Type: {asked.headers['Content-Type']}\n\n".encode() + asked.body)
    return whole.get_payload()[0].get_payload(decode=True)


@pytest.fixture
def server() -> Iterator[Registry]:
    with serving(Registry()) as made:
        yield made


@pytest.fixture
def connected(airflow_home: Path, server: Registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Airflow with a connection to the server."""
    said = json.dumps({"conn_type": "kubeflow_pipelines", "host": server.url})
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", said)
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "tests")
    return airflow_home
