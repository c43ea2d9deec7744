"""Single pods, for tests of the cluster itself and for what tests must have running beside what they test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster
from .waiting import wait_until

ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Pod:
    """A pod in the API, by its name."""

    cluster: Cluster
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    def read(self) -> dict[str, Any]:
        """The object as it is now."""
        found: dict[str, Any] = self.cluster.api.get(self.path)
        return found

    def log(self) -> str:
        """Everything that its first container has printed."""
        return str(self.cluster.api.request("GET", f"{self.path}/log"))

    def wait_for(self, *phases: str, seconds: float = 60) -> dict[str, Any]:
        """The object, as soon as the pod is in one of some phases."""

        def look() -> dict[str, Any] | None:
            seen = self.read()
            return seen if seen["status"].get("phase") in phases else None

        return wait_until(f"pod {self.name} is {' or '.join(phases)}", look, seconds=seconds)

    def wait_for_end(self, seconds: float = 60) -> dict[str, Any]:
        """How its first container ended: ``exitCode``, ``reason`` and ``message``."""
        [status, *_] = self.wait_for(*ENDED, seconds=seconds)["status"]["containerStatuses"]
        ended: dict[str, Any] = status["state"]["terminated"]
        return ended


def create_pod(
    cluster: Cluster, namespace: str, name: str, command: Sequence[str], *, image: str = "",
    container: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **spec: Any,
) -> Pod:  # fmt: skip
    """
    Create a pod of one container that is not restarted.

    :param image: the Python image, if none is given.
    :param container: more fields of the container.
    :param spec: more fields of the pod's spec.
    """
    main = {"name": "main", "image": image or cluster.image, "command": list(command), **(container or {})}
    cluster.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main], **spec},
        },
    )
    return Pod(cluster, namespace, name)
