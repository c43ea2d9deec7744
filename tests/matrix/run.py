"""
Every environment of the matrix, one after another; prints one line per environment and fails if one fails.

``python -m tests.matrix.run [NAME …]``
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

from tests.matrix.versions import ROOT, VERSIONS, Version


def run(version: Version) -> tuple[bool, str]:
    """Build one, test it; whether it passed, and pytest's last line."""
    for command in (
        [sys.executable, "-m", "tests.matrix.versions", "build", version.name],
        [sys.executable, "-m", "pytest", "tests/matrix", "-q", "--airflow", version.name],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines() or [""]
        if done.returncode:
            print("\n".join(lines[-60:]), file=sys.stderr)
            return False, lines[-1]
    return True, re.sub(r"=+", "", lines[-1]).strip()


def main(names: list[str]) -> int:
    """All, or the ones that are named."""
    chosen = [version for version in VERSIONS if not names or version.name in names]
    failed = 0
    for version in chosen:
        began = time.monotonic()
        passed, said = run(version)
        failed += not passed
        took = time.monotonic() - began
        print(
            f"{version.name:14} Airflow {version.airflow:8} Python {version.python:5} {said} · {took:.0f} s", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
