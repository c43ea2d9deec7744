"""
Starts one job and outlives the worker that asked for it: takes the lease, sets limits, waits, writes the exit status.

Run as ``python launcher.py <job folder> <lease nonce>``, in a session of its own. Standard library only. Secrets come
in its environment alone, and are handed to the child; the folder holds none.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

REQUEST, LEASE, LOG, EXIT, STOPPED = "request.json", "lease.json", "log.txt", "exit.json", "stopped"
GRACE_SECONDS = 30.0


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
    try:
        child = subprocess.Popen(
            request["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder / "work",
            start_new_session=True, preexec_fn=lambda: limit(request.get("limits", {})),
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

    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGTERM, stop)
    if (folder / STOPPED).exists():  # asked for before the handler stood
        stop()
    code = child.wait()
    kill()  # what the job left behind in its session
    return {"code": code}


def limit(limits: dict[str, int]) -> None:
    """Runs between fork and exec: the operating system's own limits, where it has them."""
    import resource

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
