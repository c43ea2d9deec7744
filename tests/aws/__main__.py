"""An endpoint as a process: prints ``ready http://…`` when it listens, and ends with SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import threading

from .endpoint import STOP_GRACE_SECONDS, Endpoint


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", default="artifacts")
    parser.add_argument("--no-execute", action="store_true", help="jobs stay InProgress until POST /mlx-finish")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--start-seconds", type=float, default=0.0)
    parser.add_argument("--stop-grace-seconds", type=float, default=STOP_GRACE_SECONDS)
    parser.add_argument("--python", help="the interpreter of images")
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Endpoint(
        port=given.port, bucket=given.bucket, execute=not given.no_execute, workers=given.workers, python=given.python,
        start_seconds=given.start_seconds, stop_grace_seconds=given.stop_grace_seconds,
    ) as endpoint:  # fmt: skip
        print(f"ready {endpoint.url}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
