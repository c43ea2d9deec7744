"""
Starts one job and outlives the worker that asked for it: takes the lease, sets limits, waits, writes the exit status.

Run as ``python launcher.py <job folder>``, in a session of its own. Standard library only. Secrets come in its
environment alone, and are handed to the child; the folder holds none.

Nothing of a job outlives it. On Linux the launcher adopts what the job's processes leave behind, even in sessions of
their own, and kills it when the job's first process has ended (PR_SET_CHILD_SUBREAPER); and that first process, the
runtime's supervisor, gets SIGTERM if the launcher itself is killed (PR_SET_PDEATHSIG), which ends the user's code in
the ordinary way. Source: prctl(2). Elsewhere such a job runs to its end, and is watched by its own lease.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

REQUEST, LEASE, LOG, EXIT, STOPPED = "request.json", "lease.json", "log.txt", "exit.json", "stopped"
PROCESS = "process.json"
GRACE_SECONDS = 30.0

# <linux/prctl.h>
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def main() -> None:
    """Run the job in ``sys.argv[1]`` unless another launcher has its lease."""
    from airflow_provider_mlx.backends.local.process import identify

    folder = Path(sys.argv[1])
    own = identify(os.getpid())
    if own is None or not create(folder / LEASE, json.dumps(own.to_wire())):
        return
    request = json.loads((folder / REQUEST).read_text())
    with (folder / LOG).open("ab", buffering=0) as log:
        status = run(request, log=log, folder=folder)
    create(folder / EXIT, json.dumps(status))


def run(request: dict[str, Any], *, log: Any, folder: Path) -> dict[str, Any]:
    """Start the job's process and wait for its end, handing SIGTERM on."""
    from airflow_provider_mlx.backends.local.process import identify

    launcher = os.getpid()
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            request["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder / "work",
            start_new_session=True, preexec_fn=lambda: prepare(request.get("limits", {}), launcher),
        )  # fmt: skip
    except OSError as error:
        log.write(f"mlx: the job cannot start: {error}\n".encode())
        return {"code": 127, "reason": f"the job cannot start: {error}"}

    def stop(*_: object) -> None:
        child.send_signal(signal.SIGTERM)
        signal.alarm(int(request.get("grace_seconds", GRACE_SECONDS)) + 5)

    def kill(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    lease = identify(child.pid)
    if lease is not None:  # else it is over already
        create(folder / PROCESS, json.dumps(lease.to_wire()))
    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGTERM, stop)
    if (folder / STOPPED).exists():  # asked for before the handler stood
        stop()
    code = child.wait()
    signal.alarm(0)
    kill()  # what the job left behind in its session
    sweep()
    return {"code": code}


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


def prepare(limits: dict[str, int], launcher: int) -> None:
    """Runs between fork and exec: the operating system's own limits, where it has them."""
    import resource

    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != launcher:  # it died before the call
            os._exit(1)

    if "memory_bytes" in limits:
        # RLIMIT_DATA, not RLIMIT_AS: numpy, Arrow and CUDA reserve far more address space than they touch.
        kind = getattr(resource, "RLIMIT_DATA", None)
        if kind is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (limits["memory_bytes"], limits["memory_bytes"]))
    if "cpus" in limits and hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(allowed)  # spread the jobs of one host
        chosen = [allowed[(first + index) % len(allowed)] for index in range(min(limits["cpus"], len(allowed)))]
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, chosen)


def create(path: Path, text: str) -> bool:
    """Write a file whole, unless it is there: under a name of our own first, so nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


if __name__ == "__main__":
    main()
