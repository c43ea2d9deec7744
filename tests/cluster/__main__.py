"""A cluster for humans: ``python -m tests.cluster build|up|down|status``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import psutil

from .binaries import DNS, KUBERNETES, KWOK, TRAINER, build
from .cache import cache_root
from .cluster import OwnCluster, take_down
from .image_recipes import build_images
from .layout import Layout
from .packages import install_packages
from .problems import ClusterFailed, PartMissing
from .processes import Processes

PARTS = {part.name: part for part in (KUBERNETES, DNS, TRAINER, KWOK)}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("verb", choices=["build", "up", "down", "status"])
    parser.add_argument("--folder", type=Path, default=cache_root() / "up", help="where the cluster's state is")
    parser.add_argument("--nodes", type=int, default=2, help="real nodes; 0 is an API alone")
    parser.add_argument("--trainer", action="store_true", help="up: with JobSet's and Trainer's controllers")
    parser.add_argument("--with-kwok", action="store_true", help="build: also what only benchmarks need")
    asked = parser.parse_args()
    try:
        if asked.verb == "build":
            build_all(with_kwok=asked.with_kwok)
        elif asked.verb == "up":
            bring_up(asked.folder, nodes=asked.nodes, trainer=asked.trainer)
        elif asked.verb == "down":
            take_down(asked.folder)
        else:
            print_status(asked.folder)
    except (ClusterFailed, PartMissing) as problem:
        sys.exit(str(problem))


def build_all(*, with_kwok: bool) -> None:
    """Build, install and make what this machine lacks; only the last two need root."""
    for part in PARTS.values():
        if part is not KWOK or with_kwok:
            build(part)
    install_packages()
    build_images()


def bring_up(folder: Path, *, nodes: int, trainer: bool) -> None:
    """Start a cluster, and print what a shell needs to use it."""
    began = time.monotonic()
    cluster = OwnCluster.up(folder, nodes=nodes)
    if trainer:
        cluster.start_trainer()
    print(f"# up in {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(f"export KUBECONFIG={cluster.kubeconfig}")


def print_status(folder: Path) -> None:
    """One line per process."""
    if not Layout(folder).facts.exists():
        print(f"no cluster in {folder}")
        return
    for name, entry in Processes(folder).known().items():
        print(f"{name:24} {entry.process.pid:8} {_resident(entry.process.pid) if entry.process.alive() else 'gone'}")
    print(f"export KUBECONFIG={Layout(folder).kubeconfig('admin')}")


def _resident(pid: int) -> str:
    """What a process holds in memory, with its children: a node's have been entered by one that waits for them."""
    top = psutil.Process(pid)
    held = sum(process.memory_info().rss for process in [top, *top.children(recursive=True)])
    return f"{held // 1024**2} MiB"


if __name__ == "__main__":
    main()
