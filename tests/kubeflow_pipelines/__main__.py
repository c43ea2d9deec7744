"""A server for humans: ``python -m tests.kubeflow_pipelines build|up|down|status``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cache import cache_root
from tests.cluster.packages import install_packages
from tests.cluster.problems import ClusterFailed, PartMissing

from .api_server import build_api_server
from .database import unpack_database
from .in_pods.images import build_pod_images
from .in_pods.metadata import install_metadata
from .in_pods.programs import build_programs
from .in_pods.stack import StackInPods
from .stack import Stack, take_stack_down


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.kubeflow_pipelines", description=__doc__)
    parser.add_argument("verb", choices=["build", "up", "down", "status"])
    parser.add_argument("--folder", type=Path, default=cache_root() / "kubeflow-up", help="where the state is")
    parser.add_argument("--multi-user", action="store_true", help="up: it asks who calls")
    parser.add_argument(
        "--in-pods", action="store_true", help="build, up: also what runs its pipelines in real pods (root)"
    )
    asked = parser.parse_args()
    try:
        if asked.verb == "build":
            build_all(in_pods=asked.in_pods)
        elif asked.verb == "up":
            bring_up(asked.folder, multi_user=asked.multi_user, in_pods=asked.in_pods)
        elif asked.verb == "down":
            take_stack_down(asked.folder)
        else:
            print_status(asked.folder)
    except (ClusterFailed, PartMissing) as problem:
        sys.exit(str(problem))


def build_all(*, in_pods: bool) -> None:
    """Build and unpack what this machine lacks; only what runs pods needs root."""
    if in_pods:
        install_packages()
        binaries.build(binaries.DNS)
    binaries.build(binaries.KUBERNETES)
    unpack_database()
    build_api_server()
    if in_pods:
        install_metadata()
        build_programs()
        build_pod_images()


def bring_up(folder: Path, *, multi_user: bool, in_pods: bool) -> None:
    """Start a server, and print where it is."""
    began = time.monotonic()
    stack = (StackInPods if in_pods else Stack).up(folder, multi_user=multi_user)
    print(f"# up in {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(f"export KUBECONFIG={stack.cluster.kubeconfig}")
    print(f"export KUBEFLOW_PIPELINES={stack.address}")


def print_status(folder: Path) -> None:
    """One line per process."""
    if not (folder / "stack.json").exists():
        print(f"no server in {folder}")
        return
    stack = Stack(folder)
    for processes in (stack.processes, stack.cluster.processes):
        for name, entry in processes.known().items():
            print(f"{name:24} {entry.process.pid:8} {'' if entry.process.alive() else 'gone'}".rstrip())
    print(f"export KUBEFLOW_PIPELINES={stack.address}")


if __name__ == "__main__":
    main()
