"""What a real server says no to, and what it leaves behind: our client tells a definite no from no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Refused
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body
from tests.kubeflow_pipelines.server import Server


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        pytest.param(lambda run: run.update(no_such_field=1), "", id="a field that it does not know"),
        pytest.param(
            lambda run: run.update(runtime_config={"parameters": {"rows": 1}}), "", id="a parameter that there is not"
        ),
        pytest.param(
            lambda run: run.update(display_name=""), "name", id="no name",
        ),
        pytest.param(lambda run: run.update(display_name="x" * 300), "shorten", id="a name that is too long"),
        pytest.param(lambda run: run.update(display_name="\N{ROCKET}"), "emoji", id="an emoji in the name"),
        pytest.param(
            lambda run: run.update(run_id="x" * 64), "", id="an id that is no label",
        ),
        pytest.param(
            lambda run: run.update(experiment_id=new_run_id()), "", id="an experiment that there is not",
        ),
        pytest.param(
            lambda run: run["pipeline_spec"]["pipeline_spec"].update(schemaVersion="2.2.0"),
            "SDK", id="another schema",
        ),
        pytest.param(
            lambda run: run["pipeline_spec"]["pipeline_spec"].update(noSuchField=1),
            "SDK", id="a field of the pipeline that it does not know",
        ),
        pytest.param(
            lambda run: container_of(run)["command"].append("{{inputs.parameters.x}}"), "{{", id="braces in a command"
        ),
        pytest.param(
            lambda run: container_of(run)["args"].append("x" * 2_000_000), "MiB", id="more than etcd takes"
        ),
    ],
)  # fmt: skip
def test_a_definite_no_is_refused(
    kubeflow_client: KubeflowPipelinesClient, change: Callable[[dict[str, Any]], None], remedy: str
) -> None:
    run = run_body(new_run_id())
    change(run)
    with pytest.raises(Refused) as refused:
        kubeflow_client.create_run(run)
    assert remedy in str(refused.value)


@pytest.mark.parametrize("name", ["x" * 300, "\N{ROCKET}"], ids=["too long", "an emoji"])
def test_a_run_that_cannot_be_stored_leaves_a_workflow_until_it_is_reported(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, name: str
) -> None:
    run_id = new_run_id()
    with pytest.raises(Refused):
        kubeflow_client.create_run(run_body(run_id, name=name))
    assert len(kubeflow_server.workflows(run_id)) == 1
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        kubeflow_server.report(run_id, "Running")
    assert kubeflow_server.workflows(run_id) == []


def container_of(run: dict[str, Any]) -> dict[str, Any]:
    executors = run["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    found: dict[str, Any] = executors["exec-step"]["container"]
    return found
