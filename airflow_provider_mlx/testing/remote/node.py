"""
The agent of one job, as a node has one: starts it, hands signals on, and leaves nothing of it behind.

Run as ``python -I -S node.py ARGUMENT…`` in the job's own folder; standard library only. It obeys words on its standard
input: ``term`` hands SIGTERM to the job's first process, ``kill`` ends the job at once. The end of the input is the end
of the server, however it came, and kills as well. The exit status is the job's, 128 + number for a signal.

On Linux the agent adopts what the job leaves in sessions of its own and kills it (PR_SET_CHILD_SUBREAPER, prctl(2));
elsewhere only the job's process group ends for sure.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
CANNOT_START = 127
"""Exit status of a job whose first process cannot be started, as a shell has it."""


def main() -> None:
    """Run the command of ``sys.argv`` to its end. Never returns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"the job cannot start: {error}", flush=True)
        os._exit(CANNOT_START)
    threading.Thread(target=obey, args=(child,), daemon=True).start()
    code = child.wait()
    kill_group(child.pid)
    sweep()
    os._exit(code if code >= 0 else 128 - code)


def obey(child: subprocess.Popen[bytes]) -> None:
    """Carry out the words of standard input; at its end, kill."""
    words = b""
    while data := os.read(0, 64):
        *complete, words = (words + data).split(b"\n")
        for word in complete:
            if word == b"term":
                child.send_signal(signal.SIGTERM)
            elif word == b"kill":
                kill_group(child.pid)
    kill_group(child.pid)


def kill_group(pid: int) -> None:
    """SIGKILL for the job's first process and its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def sweep() -> None:
    """Kill and reap what the job left behind in other sessions: the kernel has made it our children."""
    while left := _children():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """Our own children; empty where the system does not list them. Source: proc(5), ``/proc/pid/task/tid/children``."""
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


if __name__ == "__main__":
    main()
