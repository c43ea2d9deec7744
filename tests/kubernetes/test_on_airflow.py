"""Manifests in a real run of Airflow: rendered, deferred, collected, and told to OpenLineage."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import DEMO, Drive, Home

from .conftest import IMAGE

STACKS = """
default: lab
stacks:
  lab:
    artifacts: {{root: "{root}"}}
    targets: {{default: {{backend: kubernetes, conn_id: cluster, namespace: {namespace}, max_runtime: 5m}}}}
"""


@pytest.fixture(scope="module")
def ran(cluster, namespace, tmp_path_factory):
    """A run of ``dags/manifests.py``, and every lineage event about it."""
    folder = tmp_path_factory.mktemp("airflow")
    events, stacks = folder / "lineage.ndjson", folder / "stacks.yaml"
    stacks.write_text(STACKS.format(root=(folder / "mlx").as_uri(), namespace=namespace))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(cluster.kubeconfig)}}
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    env = {
        "AIRFLOW_CONN_CLUSTER": json.dumps(connection), "AIRFLOW__MLX__DEPLOYMENT_ID": "tests",
        "AIRFLOW__MLX__STACKS_FILES": str(stacks), "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "MLX_TEST_NO_PYTHON_IMAGE": IMAGE, "MLX_TEST_NAMESPACE": namespace,
    }  # fmt: skip
    dags = folder / "dags"
    dags.symlink_to(__file__.rpartition("/")[0] + "/dags")
    drive = Drive(Home(DEMO, folder / "home", dags, local_root=None, env=env).migrate(), "manifests")
    try:
        yield drive["manifests"], [json.loads(line) for line in events.read_text().splitlines()]
    finally:
        drive.stop()


def of_job(events, name):
    return [event for event in events if event["job"]["name"] == name]


def test_every_form_of_a_manifest_runs_and_a_failure_is_red(ran):
    run, _ = ran
    assert run.states() == {"from_file": "success", "waits": "success", "after": "success", "fails": "failed"}, (
        run.tail()
    )
    assert run.xcom("from_file") == {"rows": 3}
    assert run.xcom("after") == "done"
    assert run.xcom("waits")["state"] == "succeeded"
    assert "a job of from_file" in run.log
    assert "it was 3 rows" in run.log
    assert "exit status 4" in run.log


@pytest.mark.parametrize(
    ("task", "ends"),
    [
        pytest.param("from_file", ["START", "COMPLETE"], id="one that succeeded"),
        pytest.param("fails", ["START", "FAIL"], id="one that failed"),
    ],
)
def test_its_job_is_a_run_below_its_task(ran, task, ends):
    _, events = ran
    name = next(event["job"]["name"] for event in events if event["job"]["name"].startswith(f"manifests.{task}."))
    assert [event["eventType"] for event in of_job(events, name)] == ends
    assert of_job(events, name)[0]["run"]["facets"]["mlx_remoteJob"]["backend"] == "kubernetes_resource"


def test_inlets_and_outlets_are_the_tasks_datasets(ran):
    _, events = ran
    told = of_job(events, "manifests.from_file")[-1]
    assert told["eventType"] == "COMPLETE"
    assert [(item["namespace"], item["name"]) for item in told["inputs"]] == [("s3://lake", "raw")]
    assert [(item["namespace"], item["name"]) for item in told["outputs"]] == [("s3://lake", "day")]
