"""What lies where in a cluster's folder, and what a second process must know of a running cluster."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths in the folder of one cluster."""

    folder: Path

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.folder / "pki"

    @property
    def facts(self) -> Path:
        """What :class:`Facts` holds."""
        return self.folder / "cluster.json"

    def kubeconfig(self, user: str) -> Path:
        """How one of the cluster's users reaches the API."""
        return self.folder / f"{user}.kubeconfig"

    def node(self, name: str) -> Path:
        """The disk of a node."""
        return self.folder / "nodes" / name


@dataclass
class Facts:
    """A running cluster, for whoever did not start it."""

    place: int
    """The number of its place on this machine, if it has nodes; else 0."""
    nodes: list[str]
    registry_port: int = 0
    dns_port: int = 0

    def write(self, layout: Layout) -> None:
        """Keep them in the cluster's folder."""
        layout.facts.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    @classmethod
    def read(cls, layout: Layout) -> Facts:
        """
        :raises FileNotFoundError: no cluster was started in this folder.
        """
        return cls(**json.loads(layout.facts.read_text()))


def write_kubeconfig(path: Path, *, server: str, authority: Path, token: str) -> None:
    """Write how to reach an API server with a token."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "tests",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode(),
                },
            }
        ],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))  # JSON is YAML too
