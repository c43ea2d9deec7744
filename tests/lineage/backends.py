"""
Three backends and the Airflow that uses them, all real: an AWS whose jobs run, an API server of Kubeflow Pipelines whose
steps run, a Kubernetes with nodes. Airflow's API server holds the lineage store.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
import yaml

from demo.standalone import Standalone
from tests.aws.endpoint import Endpoint
from tests.cluster.cluster import Cluster
from tests.e2e.harness import EXAMPLES
from tests.e2e.traced import TOKEN, sent_to_itself
from tests.faults.gate import Gate
from tests.kubeflow_pipelines.pods import Pods
from tests.kubeflow_pipelines.server import Server, running_server
from tests.kubernetes.fixtures import Tenant, make_tenant
from tests.openlineage.collecting import TRANSPORT, events_into

FOLDER: Final = EXAMPLES / "across_backends"
STACKS: Final = "mlx_stacks.yaml"
LAKE: Final = "ml-lake"
ROOT: Final = "s3://artifacts/one-graph"


@dataclass(frozen=True)
class Backends:
    """
    The systems that run steps.

    :param pods_aws: where pods reach AWS.
    """

    aws: Endpoint
    kubeflow: Server
    tenant: Tenant
    pods_aws: str

    @classmethod
    @contextlib.contextmanager
    def running(cls, cluster: Cluster, folder: Path) -> Iterator[Self]:
        """For a block; whatever the AWS of the tests got wrong fails it."""
        with contextlib.ExitStack() as stack:
            aws = stack.enter_context(Endpoint(stop_grace_seconds=5))
            place = {"LocationConstraint": aws.region}
            aws.client("s3").create_bucket(Bucket=LAKE, CreateBucketConfiguration=place)
            way = Gate(int(aws.url.rpartition(":")[2]), at=cluster.host_address)
            stack.callback(way.close)
            tenant = make_tenant(cluster, folder)
            stack.callback(tenant.remove)
            kubeflow = stack.enter_context(running_server(folder / "kubeflow"))
            found = cls(aws, kubeflow, tenant, f"http://{cluster.host_address}:{way.port}")
            tenant.apply({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "artifact-root"},
                "stringData": found.variables(found.pods_aws),
            })  # fmt: skip
            pods = Pods(kubeflow, folder / "pods", identity=found.variables(aws.url))
            stack.callback(pods.close)
            yield found
            assert (aws.problems, pods.problems) == ([], [])

    def variables(self, url: str) -> dict[str, str]:
        """What opens the artifact root in a job, by the AWS at an address."""
        keys = self.aws.connection(role_arn=self.aws.role_arn)
        return {
            "AWS_ACCESS_KEY_ID": keys["login"], "AWS_SECRET_ACCESS_KEY": keys["password"],
            "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": self.aws.region, "AWS_DEFAULT_REGION": self.aws.region,
        }  # fmt: skip

    def connections(self) -> dict[str, Mapping[str, Any]]:
        """As the example's stack names them."""
        return {
            "aws_ml": self.aws.connection(),
            "kubeflow_pipelines_default": {"conn_type": "kubeflow_pipelines", "host": self.kubeflow.address},
            "kubernetes_default": {
                "conn_type": "kubernetes", "extra": {"kube_config_path": str(self.tenant.kubeconfig)},
            },
        }  # fmt: skip

    def stacks(self) -> str:
        """The example's own stack file, with these systems' names in the place of its own."""
        stacks = yaml.safe_load((FOLDER / STACKS).read_text())
        stack = stacks["stacks"]["hybrid"]
        stack["artifacts"]["root"] = ROOT
        stack["targets"]["sagemaker"]["role_arn"] = self.aws.role_arn
        stack["targets"]["cluster"] |= {
            "namespace": self.tenant.namespace, "image": self.tenant.cluster.s3_image,
        }  # fmt: skip
        return str(yaml.safe_dump(stacks))

    def put_month(self, month: str, rows: int) -> None:
        """The raw data of a month: who calls much has left."""
        lines = [
            f"{number % 37 + 1},{number % 11 + 1},{int(number % 37 > 3 * (number % 11 + 1))}" for number in range(rows)
        ]
        body = "\n".join(["calls,months,left", *lines, ",,"]).encode()
        self.aws.client("s3").put_object(Bucket=LAKE, Key=f"churn/{month}.csv", Body=body)


class TracingAirflow(Standalone):
    """
    An Airflow that keeps the events of its runs itself, and writes them down beside.

    :ivar events: the folder with all events.
    """

    def __init__(self, folder: Path, backends: Backends) -> None:
        dags = folder / "dags"
        shutil.copytree(FOLDER, dags)
        shutil.copy(Path(__file__).parent / "dags" / "leaky.py", dags)
        (dags / STACKS).write_text(backends.stacks())
        super().__init__(bin_folder=Path(sys.executable).parent, home=folder / "airflow", dags=dags)
        self.events = folder / "events"
        to_files = json.loads(events_into(self.events)[TRANSPORT])
        transport = {
            "type": "composite",
            "continue_on_failure": True,
            "transports": [sent_to_itself(self.url), to_files],
        }
        self.env |= {
            "AIRFLOW__MLX__LINEAGE_STORE": f"sqlite:///{folder}/lineage.db", "AIRFLOW__MLX__LINEAGE_TOKEN": TOKEN,
            TRANSPORT: json.dumps(transport),
            "AIRFLOW__MLX__DEPLOYMENT_ID": "tests",
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in backends.connections().items()},
        }  # fmt: skip

    def lineage(self, path: str, **parameters: str | int) -> Any:
        """Ask the store, as a user."""
        token = httpx.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
        answer = httpx.get(
            f"{self.url}/mlx/lineage/api/v1/{path}", params=parameters, timeout=30,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        return answer.raise_for_status().json()
