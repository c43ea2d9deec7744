"""The control groups that a node's pods are in, on cgroup v1 and v2."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS_OF_V2 = ("cpuset", "cpu", "io", "memory", "pids")


def make_cgroup(top: str, node: str) -> str:
    """Make a node's group in every hierarchy, and return the path by which the kubelet knows it."""
    name = f"{top}/{node}"
    if (ROOT / "cgroup.controllers").exists():
        for parent in (ROOT, ROOT / top, ROOT / name):
            parent.mkdir(exist_ok=True)
            for controller in CONTROLLERS_OF_V2:
                with contextlib.suppress(OSError):  # not on this machine, or given to all already
                    (parent / "cgroup.subtree_control").write_text(f"+{controller}")
        return f"/{name}"
    for hierarchy in _hierarchies():
        for part in (top, name):
            (hierarchy / part).mkdir(exist_ok=True)
            # a new cpuset has no CPU and no memory, and takes no process before it has some
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (hierarchy / file).exists():
                    (hierarchy / part / file).write_text((hierarchy / file).read_text())
    return f"/{name}"


def remove_cgroups(top: str, seconds: float = 5) -> None:
    """Remove the groups of all nodes of a cluster, whose processes must have been told to end."""
    until = time.monotonic() + seconds
    while left := list(_below(top)):
        for path in sorted(left, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):  # it has a process still, which is on its way out
                path.rmdir()
        if time.monotonic() > until:
            return
        time.sleep(0.05)


def _hierarchies() -> Iterator[Path]:
    for path in [ROOT, *ROOT.iterdir()]:
        if (path / "cgroup.procs").exists():
            yield path


def _below(top: str) -> Iterator[Path]:
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / top):
            yield Path(folder)
