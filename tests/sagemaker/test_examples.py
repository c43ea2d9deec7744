"""
The examples on SageMaker under a real Airflow (``airflow dags test``), on an endpoint of AWS whose jobs really run; the
hybrid one with its second step on a real Kubernetes.

Their stack file is the one that is beside them, with this account's names in the place of the examples'. Airflow reaches
AWS through a gate that counts bytes; jobs and pods have ways of their own.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.aws.endpoint import Endpoint
from tests.cluster.fixtures import cluster
from tests.cluster.waiting import wait_until
from tests.e2e.harness import EXAMPLES, Environment, Home, Run
from tests.faults.gate import Gate
from tests.kubernetes.fixtures import Tenant, make_tenant

__all__ = ["cluster"]

FOLDER = EXAMPLES / "on_sagemaker"
STACKS = "mlx_stacks.yaml"
LAKE = "ml-lake"
MEGABYTE = 2**20


@dataclass(frozen=True)
class OwnEnvironment(Environment):
    """The environment of these tests, which has an Airflow too."""

    name: str = "tests"

    @property
    def bin(self) -> Path:
        return Path(sys.executable).parent

    def check(self) -> None:
        assert (self.bin / "airflow").exists()


class Account:
    """An Airflow whose account is the tests' AWS."""

    def __init__(self, folder: Path, **kubernetes: Any) -> None:
        self.endpoint = Endpoint(stop_grace_seconds=20).start()
        self.endpoint.client("s3").create_bucket(
            Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": self.endpoint.region}
        )
        self.gate = Gate(urlsplit(self.endpoint.url).port or 0)
        shutil.copytree(FOLDER, folder / "dags")
        (folder / "dags" / STACKS).write_text(self._stacks(kubernetes))
        connections = {
            "AWS_ML": self.endpoint.connection(endpoint_url=f"http://127.0.0.1:{self.gate.port}"),
            "KUBERNETES_DEFAULT": {"conn_type": "kubernetes", "extra": kubernetes.get("extra", {})},
        }
        env = {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}
        env["AIRFLOW__MLX__DEPLOYMENT_ID"] = "tests"
        self.home = Home(OwnEnvironment(), folder / "home", folder / "dags", local_root=None, env=env).migrate()

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> Run:
        done, found = self.home.dags_test(dag_id, *(["--conf", json.dumps(conf)] if conf else []))
        assert done.code == 0, done.tail()
        assert found.state == "success", found.tail()
        return found

    def close(self) -> None:
        self.gate.close()
        self.endpoint.stop()

    def _stacks(self, kubernetes: dict[str, Any]) -> str:
        stacks = yaml.safe_load((FOLDER / STACKS).read_text())
        stack = stacks["stacks"]["aws"]
        stack["artifacts"]["root"] = "s3://artifacts/examples"
        for target in stack["targets"].values():
            if target["backend"] == "sagemaker":
                target["role_arn"] = self.endpoint.role_arn
            else:
                target |= {key: kubernetes[key] for key in ("namespace", "image") if key in kubernetes}
        return str(yaml.safe_dump(stacks))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.close()
    assert made.endpoint.problems == []


def test_spot_training(account: Account) -> None:
    ran: list[Run] = []
    conf = {"epochs": 12, "seconds_per_epoch": 1.0}
    thread = threading.Thread(target=lambda: ran.append(account.run("spot_training", conf)), daemon=True)
    thread.start()
    endpoint = account.endpoint
    sagemaker = endpoint.client("sagemaker")
    [job] = wait_until("there is a job", lambda: sagemaker.list_training_jobs()["TrainingJobSummaries"], seconds=120)
    name = job["TrainingJobName"]
    endpoint.wait(name, "Training")
    time.sleep(5)  # some epochs; what they have left is kept when the instances are taken
    endpoint.interrupt(name, wait_seconds=2.0)
    thread.join(180)
    [run] = ran
    trained = run.xcom("train")
    assert trained["epochs"] == 12
    assert 0 < trained["begun_at"] < 12, "it goes on from its last checkpoint"
    [created] = endpoint.calls.of("CreateTrainingJob")
    assert created.params["EnableManagedSpotTraining"] is True, "the same job: no failure, and no second one"
    assert {task.tries for task in run.tasks.values()} == {1}
    assert run.log.count("begins at epoch") == 2
    assert f"begins at epoch {trained['begun_at']}" in run.log


def test_script_mode(account: Account) -> None:
    script = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--epochs', type=int)\n"
    script += "for n in range(p.parse_args().epochs):\n    print(f'loss={1 / (n + 1):.3f}')\n"
    script += "open('/opt/ml/model/model.txt', 'w').write('trained')\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(script)
        archive.addfile(entry, io.BytesIO(script.encode()))
    s3 = account.endpoint.client("s3")
    s3.put_object(Bucket=LAKE, Key="code/train.tar.gz", Body=packed.getvalue())
    run = account.run("script_mode")
    left = run.xcom("train")
    assert left["metrics"] == {"loss": 0.333}
    bucket, _, key = left["model"].removeprefix("s3://").partition("/")
    objects = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    assert [item["Key"].rpartition("/")[2] for item in objects] == ["model.txt"]
    assert "loss=0.500" in run.log


@pytest.fixture
def hybrid(cluster: Any, tmp_path: Path) -> Iterator[Account]:
    """With a namespace of a cluster, whose pods reach AWS at the host's address."""
    tenant: Tenant = make_tenant(cluster, tmp_path)
    made = Account(
        tmp_path / "account", namespace=tenant.namespace, image=cluster.s3_image,
        extra={"kube_config_path": str(tenant.kubeconfig)},
    )  # fmt: skip
    way = Gate(made.gate.target, at=cluster.host_address)
    keys = made.endpoint.connection(role_arn=made.endpoint.role_arn)
    variables = {
        "AWS_ACCESS_KEY_ID": keys["login"], "AWS_SECRET_ACCESS_KEY": keys["password"],
        "AWS_ENDPOINT_URL": f"http://{cluster.host_address}:{way.port}", "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": made.endpoint.region, "AWS_DEFAULT_REGION": made.endpoint.region,
    }  # fmt: skip
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "artifact-root"}}
    tenant.apply({**secret, "stringData": variables})
    yield made
    way.close()
    made.close()
    tenant.remove()
    assert made.endpoint.problems == []


def test_hybrid(hybrid: Account) -> None:
    run = hybrid.run("hybrid")
    assert run.xcom("train") == {"rows": 2048 * MEGABYTE / 8, "mean": 511.5}
    assert hybrid.gate.relayed < 5 * MEGABYTE, "the data never went through Airflow"
    assert len(hybrid.endpoint.calls.of("CreateProcessingJob")) == 1
