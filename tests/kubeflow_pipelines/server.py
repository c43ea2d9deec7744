"""A real API server of Kubeflow Pipelines for tests, with a relay before it, and the hands of Argo and of its agent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from tests.cluster.api import Api

from .relay import Relay, relay_to
from .stack import NAMESPACE, Stack, running_stack
from .workflows import Node, step_nodes, template_prefix, with_status

RUN_LABEL: Final = "pipeline/runid"
WORKFLOWS: Final = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"


class Server:
    """
    What a test has of a running server.

    :ivar relay: what clients reach; its faults and counts are the test's.
    """

    namespace: Final = NAMESPACE

    def __init__(self, stack: Stack, relay: Relay) -> None:
        self.stack = stack
        self.relay = relay

    @property
    def address(self) -> str:
        """Of the relay, for clients."""
        return self.relay.address

    @property
    def api(self) -> Api:
        """The Kubernetes API behind it, as an admin."""
        return self.stack.cluster.api

    def restart(self) -> None:
        """Kill the API server, and start it again on the same state."""
        self.stack.kill_api_server()
        self.stack.start_api_server_again()

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask the API server itself, beside the relay."""
        return httpx.request(method, f"{self.stack.address}{path}", json=body, timeout=30, trust_env=False)

    def workflows(self, run_id: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The Argo Workflows that are labelled with a run, the oldest first."""
        found = self.api.get(f"{WORKFLOWS.format(namespace)}?labelSelector={RUN_LABEL}%3D{run_id}")["items"]
        return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def report(
        self, run_id: str, phase: str, nodes: Sequence[Node] | None = None, message: str = "", *, workflow: str = ""
    ) -> None:
        """
        Bring a run's Workflow into a phase, as Argo writes it, and report it, as the persistence agent does.

        :param phase: ``Pending``, ``Running``, ``Succeeded``, ``Failed`` or ``Error``.
        :param nodes: by default those of a pipeline with one task, all as far as the Workflow.
        :param message: of the executor's pod, where the nodes are the default ones; else of the Workflow.
        :param workflow: by name, where a run has several; by default the oldest.
        :raises LookupError: there is none.
        """
        found = [one for one in self.workflows(run_id) if workflow in ("", one["metadata"]["name"])]
        if not found:
            raise LookupError(f"the run {run_id} has no Workflow {workflow}".rstrip())
        if nodes is None:
            nodes, message = step_nodes(phase, message, prefix=template_prefix(found[0])), ""
        rendered = with_status(found[0], phase, nodes, message)
        name = rendered["metadata"]["name"]
        written = self.api.request("PUT", f"{WORKFLOWS.format(NAMESPACE)}/{name}", rendered)
        # the body is a string, in which there is JSON
        self.request("POST", "/apis/v2beta1/workflows", json.dumps(written)).raise_for_status()

    def delete_workflow(self, run_id: str) -> None:
        """Remove a run's Workflows behind the server's back."""
        for one in self.workflows(run_id):
            self.api.delete(f"{WORKFLOWS.format(NAMESPACE)}/{one['metadata']['name']}")


@contextlib.contextmanager
def running_server(folder: Path | None = None, *, multi_user: bool = False) -> Iterator[Server]:
    """A server as long as the block lasts; see :meth:`.Stack.up`."""
    with running_stack(folder, multi_user=multi_user) as stack, relay_to(stack.facts.http) as relay:
        yield Server(stack, relay)
