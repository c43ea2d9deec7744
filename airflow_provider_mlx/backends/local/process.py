"""
Is this still the same process? A pid alone does not tell: it is given again after a while, and after a reboot at once.

Host, boot and start time together name a process for good.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one boot of one host."""

    host: str
    boot: str
    pid: int
    started: str

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON, as ``lease.json`` holds it."""
        return asdict(self)


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this pid now, or ``None``."""
    started = start_time(pid)
    return None if started is None else ProcessIdentity(platform.node(), boot_id(), pid, started)


def boot_id() -> str:
    """A text that changes with every boot of this host (Linux: random; elsewhere: the boot's time)."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    answer = subprocess.run(["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=False)  # noqa: S607
    return answer.stdout.strip()


def start_time(pid: int) -> str | None:
    """When the process started, in its system's own words; ``None`` if there is none, or only a zombie."""
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the command in parentheses and may hold anything; state and start time (fields 3 and
            # 22 of proc(5)) are counted after its last parenthesis.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return answer.stdout.strip() or None
