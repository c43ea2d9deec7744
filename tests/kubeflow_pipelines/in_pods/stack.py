"""
All of Kubeflow Pipelines: the stack of ``../stack.py`` on a cluster with a node, and what runs pods there.

Argo's controller makes pods of a Workflow, the persistence agent reports it to the API server, and ML Metadata holds what
tasks give each other. In the pods are upstream's driver, launcher and executor.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final, Self

from tests.cluster.cluster import require_nodes
from tests.cluster.network import free_ports
from tests.kubeflow_pipelines.stack import LOOPBACK, NAMESPACE, Stack

from .images import DRIVER_IMAGE, EXECUTOR_IMAGE, LAUNCHER_IMAGE, built_pod_images
from .metadata import installed_metadata, start_metadata
from .objects import CONTROLLER_CONFIG, manifests
from .programs import AGENT, CONTROLLER, built_programs

REGISTRY: Final = "registry"
"""The process of the cluster that serves images."""
LOOK_AGAIN: Final = "1s"
"""How soon Argo's controller looks again at a Workflow of which a pod has ended; its own default is 10 s, three times."""
# The agent reads a token from a fixed place, where this machine may have something else: it gets a /run of its own.
TOKEN: Final = "/run/secrets/kubeflow/tokens/persistenceagent-sa-token"
WITH_TOKEN: Final = (
    f'mount -t tmpfs tmpfs /run && mkdir -p "$(dirname {TOKEN})" && printf none > {TOKEN} && exec "$0" "$@"'
)


class StackInPods(Stack):
    """One that runs what it is given."""

    nodes: ClassVar[int] = 1

    @classmethod
    def up(cls, folder: Path, *, multi_user: bool = False, used_by_me: bool = False) -> Self:
        require_nodes(), built_programs(), built_pod_images(), installed_metadata()
        stack = super().up(folder, multi_user=multi_user, used_by_me=used_by_me)
        try:
            stack._serve_images()
            stack._start_company()
        except BaseException:
            stack.down()
            raise
        return stack

    def _environment(self) -> dict[str, str]:
        images = {"V2_DRIVER_IMAGE": DRIVER_IMAGE, "V2_LAUNCHER_IMAGE": LAUNCHER_IMAGE}
        # as upstream's manifests have it: a task's own output is an artifact too
        return {**super()._environment(), **images, "PUBLISH_LOGS": "true", "PIPELINE_LOG_LEVEL": "1"}

    def _serve_images(self) -> None:
        """Have the cluster's registry serve ours too."""
        registry = self.cluster.processes.known()[REGISTRY]
        interpreter, program, _, *where = registry.command
        self.cluster.processes.stop([REGISTRY])
        self.cluster.processes.start(REGISTRY, [interpreter, program, built_pod_images(), *where], registry.environment)

    def _start_company(self) -> None:
        programs, kubeconfig = built_programs(), str(self.cluster.kubeconfig)
        (metadata_port,) = free_ports(self.facts.host, 1)
        start_metadata(self.processes, self.folder, self.facts.host, metadata_port)
        for manifest in manifests(self.facts, metadata_port):
            self.cluster.api.apply(manifest)
        agent = [
            programs / AGENT, "-kubeconfig", kubeconfig, "-namespace", NAMESPACE, "-logtostderr",
            "-mlPipelineAPIServerName", LOOPBACK, "-mlPipelineServiceHttpPort", str(self.facts.http),
            "-mlPipelineServiceGRPCPort", str(self.facts.rpc),
        ]  # fmt: skip
        # of its two clients of Kubernetes, one asks the environment alone
        self.processes.start(
            AGENT, ["unshare", "--mount", "--", "sh", "-c", WITH_TOKEN, *agent], {"KUBECONFIG": kubeconfig}
        )
        controller = [
            programs / CONTROLLER, "--kubeconfig", kubeconfig, "--namespace", NAMESPACE, "--namespaced",
            "--managed-namespace", NAMESPACE, "--configmap", CONTROLLER_CONFIG, "--executor-image", EXECUTOR_IMAGE,
        ]  # fmt: skip
        alone = {"LEADER_ELECTION_DISABLE": "true", "ARGO_NAMESPACE": NAMESPACE, "DEFAULT_REQUEUE_TIME": LOOK_AGAIN}
        self.processes.start(CONTROLLER, controller, alone)


@contextlib.contextmanager
def running_stack_in_pods(folder: Path | None = None) -> Iterator[StackInPods]:
    """A stack as long as the block lasts, in a temporary folder if none is given."""
    with contextlib.ExitStack() as held:
        if folder is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="mlx-kubeflow-"))) / "state"
        stack = StackInPods.up(folder, used_by_me=True)
        held.callback(stack.down)
        yield stack
