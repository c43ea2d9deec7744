"""A template file, a text and a dict as manifests, and a sensor on an object that one of them has made."""

from __future__ import annotations

import os

from airflow.sdk import DAG, Asset

from airflow_provider_mlx import MlxKubernetesResourceOperator, MlxKubernetesSensor

IMAGE = os.environ["MLX_TEST_NO_PYTHON_IMAGE"]
NAMESPACE = os.environ["MLX_TEST_NAMESPACE"]


def job(script: str) -> dict:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0, "template": {"spec": pod}}}


with DAG("manifests", schedule=None):
    from_file = MlxKubernetesResourceOperator(
        task_id="from_file", manifest="job.yaml", keep="always", params={"image": IMAGE},
        inlets=[Asset("s3://lake/raw")], outlets=[Asset("s3://lake/day")],
    )  # fmt: skip
    waits = MlxKubernetesSensor(
        task_id="waits", name="manifests-nightly", namespace=NAMESPACE, conn_id="cluster", poke_interval=1
    )
    after = MlxKubernetesResourceOperator(
        task_id="after",
        manifest=job(
            "echo it was {{ ti.xcom_pull('from_file')['rows'] }} rows; printf '%s' done > /dev/termination-log"
        ),
        deferrable=False,
    )
    fails = MlxKubernetesResourceOperator(task_id="fails", manifest=job("exit 4"))
    from_file >> [waits, after]
