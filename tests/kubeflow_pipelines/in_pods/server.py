"""What a test has of Kubeflow Pipelines whose runs really run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import boto3

from tests.kubeflow_pipelines.relay import Relay, relay_to
from tests.kubeflow_pipelines.server import RUN_LABEL, Server
from tests.kubeflow_pipelines.stack import NAMESPACE

from .objects import ACCESS_KEY, SECRET_KEY
from .stack import StackInPods, running_stack_in_pods

OVER: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
REGION: Final = "us-east-1"


class ServerInPods(Server):
    """
    A running server; its pods are on the node of its cluster.

    :ivar objects: a client of its object store.
    """

    stack: StackInPods

    def __init__(self, stack: StackInPods, relay: Relay) -> None:
        super().__init__(stack, relay)
        self.objects: Any = boto3.client(
            "s3", endpoint_url=self.store_address, region_name=REGION,
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
        )  # fmt: skip

    @property
    def store_address(self) -> str:
        """Of the object store, for pods and for this process."""
        return f"http://{self.stack.facts.host}:{self.stack.facts.objects}"

    @property
    def identity(self) -> dict[str, str]:
        """Variables that make a client of S3 one of this store."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.store_address, "AWS_ALLOW_HTTP": "true",
        }  # fmt: skip

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        """The pods of a run, the oldest first."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={RUN_LABEL}%3D{run_id}"
        return sorted(self.api.get(path)["items"], key=lambda pod: pod["metadata"]["creationTimestamp"])

    def run(self, run_id: str) -> dict[str, Any]:
        """A run, as the server tells it."""
        answer = self.request("GET", f"/apis/v2beta1/runs/{run_id}")
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def wait(self, run_id: str, until: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        """Look at a run until it is so."""
        end = time.monotonic() + seconds
        while not until(run := self.run(run_id)):
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds:.0f} s the run is still {run.get('state')}\n{self._said(run_id)}")
            time.sleep(0.2)
        return run

    def finish(self, run_id: str, seconds: float = 120) -> dict[str, Any]:
        """Wait for the end of a run."""
        return self.wait(run_id, lambda run: run.get("state") in OVER, seconds)

    def _said(self, run_id: str) -> str:
        nodes = [
            f"{node['name']} {node['phase']} {node.get('message', '')}".rstrip()
            for workflow in self.workflows(run_id)
            for node in ((workflow.get("status") or {}).get("nodes") or {}).values()
        ]
        return "\n".join(nodes)


@contextlib.contextmanager
def running_in_pods(folder: Path | None = None) -> Iterator[ServerInPods]:
    """A server as long as the block lasts."""
    with running_stack_in_pods(folder) as stack, relay_to(stack.facts.http) as relay:
        yield ServerInPods(stack, relay)
