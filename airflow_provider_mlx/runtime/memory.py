"""How much memory the step used, and whether the kernel killed for it."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_bytes(*, children: bool = False) -> int:
    """
    Peak resident memory of this process, or of the largest of its children that have ended.

    Source: getrusage(2): ``ru_maxrss`` is KiB on Linux and bytes on macOS.
    """
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF)
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def oom_kills() -> int | None:
    """
    How often the kernel has killed a process of our control group for memory; None when it does not say.

    Source: the kernel's cgroup-v2 documentation, ``memory.events``; for version 1, ``memory.oom_control``.
    """
    for path in _event_files():
        try:
            for line in path.read_text().splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count)
        except (OSError, ValueError):
            continue
    return None


def _event_files() -> list[Path]:
    root = Path("/sys/fs/cgroup")
    found = []
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found.append(root / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                found.append(root / "memory" / path.lstrip("/") / "memory.oom_control")
    except (OSError, ValueError):
        pass
    # Inside a container the group's own folder is usually mounted as the root.
    return [*found, root / "memory.events", root / "memory" / "memory.oom_control"]
