"""A server for humans: ``python -m tests.kubeflow_pipelines build|up|down|status``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cache import cache_root
from tests.cluster.problems import ClusterFailed, PartMissing

from .api_server import build_api_server
from .database import unpack_database
from .stack import Stack, take_stack_down


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.kubeflow_pipelines", description=__doc__)
    parser.add_argument("verb", choices=["build", "up", "down", "status"])
    parser.add_argument("--folder", type=Path, default=cache_root() / "kubeflow-up", help="where the state is")
    parser.add_argument("--multi-user", action="store_true", help="up: it asks who calls")
    asked = parser.parse_args()
    try:
        if asked.verb == "build":
            build_all()
        elif asked.verb == "up":
            bring_up(asked.folder, multi_user=asked.multi_user)
        elif asked.verb == "down":
            take_stack_down(asked.folder)
        else:
            print_status(asked.folder)
    except (ClusterFailed, PartMissing) as problem:
        sys.exit(str(problem))


def build_all() -> None:
    """Build and unpack what this machine lacks; nothing of it needs root."""
    binaries.build(binaries.KUBERNETES)
    unpack_database()
    build_api_server()


def bring_up(folder: Path, *, multi_user: bool) -> None:
    """Start a server, and print where it is."""
    began = time.monotonic()
    stack = Stack.up(folder, multi_user=multi_user)
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
