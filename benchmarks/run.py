"""``make bench``: us and a peer in one run on one machine, one ratio per line. No test asserts a time."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from . import folders, frames, overhead, parsing, pods, waiting

NAMES = ("parsing", "overhead", "frames", "folders", "pods", "waiting")


def main() -> None:
    """Run the chosen benchmarks; all of them by default."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, nargs="*", default=[256, 1024, 4096], help="sizes of the frames")
    parser.add_argument("--waiting", type=int, nargs="*", default=[1000, 2000], help="deferred steps")
    parser.add_argument("--triggerers", type=int, nargs="*", default=[1, 2], help="that share them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlx-bench-") as folder:
        work = Path(folder)
        if not chosen.names or "parsing" in chosen.names:
            parsing.run(work, runs=chosen.runs)
        if not chosen.names or "overhead" in chosen.names:
            overhead.run(work, runs=chosen.runs)
        if not chosen.names or "frames" in chosen.names:
            frames.run(work, sizes=chosen.mebibytes, runs=max(1, chosen.runs // 2))
        if not chosen.names or "folders" in chosen.names:
            folders.run(work, runs=max(1, chosen.runs // 2))
        if not chosen.names or "pods" in chosen.names:
            pods.run(work, runs=chosen.runs)
        if not chosen.names or "waiting" in chosen.names:
            waiting.run(work, numbers=chosen.waiting, triggerers=chosen.triggerers)


if __name__ == "__main__":
    main()
