"""
Settings of the whole machine that clusters change, and that are as they were when the last one with nodes has ended.
"""

from __future__ import annotations

import json
from pathlib import Path

from .locks import alone
from .network import PLACES

PROC_SYS = Path("/proc/sys")
KEPT = Path("/run/lock/mlx-tests-cluster-sysctls.json")

SET_BY_KUBELET = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
INOTIFY = "fs/inotify/max_user_instances"
INOTIFY_INSTANCES = 2048
"""A node has about ten. The default, 128 for all of root's processes, is used up by five clusters of two nodes."""


def keep_sysctls(kept: Path = KEPT, root: Path = PROC_SYS) -> None:
    """Write down what there is, unless another cluster has, and make room. The cluster must have its place."""
    with alone(kept):
        if not kept.exists():
            kept.write_text(json.dumps({name: (root / name).read_text() for name in (*SET_BY_KUBELET, INOTIFY)}))
        if int((root / INOTIFY).read_text()) < INOTIFY_INSTANCES:
            (root / INOTIFY).write_text(str(INOTIFY_INSTANCES))


def restore_sysctls(kept: Path = KEPT, root: Path = PROC_SYS) -> None:
    """Have it all as it was, if no cluster has nodes up any more."""
    with alone(kept):
        if kept.exists() and not any(place.is_taken for place in PLACES):
            for name, value in json.loads(kept.read_text()).items():
                (root / name).write_text(value)
            kept.unlink()
