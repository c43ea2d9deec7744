"""
The Airflows and Pythons that we promise to run on, and how each environment is made.

``python -m tests.matrix.versions build NAME`` makes one under ``.build/matrix``; ``… names`` prints them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Version:
    """
    One environment.

    :param airflow: the release.
    :param lowest: every direct dependency at its lowest declared version.
    """

    name: str
    airflow: str
    python: str = "3.11"
    lowest: bool = False
    also: tuple[str, ...] = ()
    """What this Airflow's constraints hold back and its metadata does not: newer ones break it."""

    as_of: str = ""
    """Resolved as on this day, as a deployment of that time is: what has come out since breaks this Airflow itself."""

    @property
    def folder(self) -> Path:
        """The virtual environment."""
        return ROOT / ".build" / "matrix" / self.name

    @property
    def has_triggers_that_keep_promises(self) -> bool:
        """Airflow 2 is the second tier: steps hold their slot there."""
        return not self.airflow.startswith("2.")


VERSIONS: Final = (
    Version("2.11-py311", "2.11.2"),
    Version("2.11-py312", "2.11.2", "3.12"),
    Version("3.0-py311", "3.0.6", also=("fastapi<0.117", "pyjwt<2.11")),
    Version("3.1-py312", "3.1.8", "3.12"),
    Version("3.2-py312", "3.2.2", "3.12", as_of="2026-06-15"),
    Version("3.3-py312", "3.3.2", "3.12"),
    Version("3.3-py313", "3.3.2", "3.13"),
    Version("lowest-py311", "2.11.0", lowest=True),
)


def build(version: Version) -> None:
    """Make the environment as a user does: one resolution of Airflow and us, no pins but Airflow's own release."""
    uv = ROOT / ".build" / "uv" / "bin" / "uv"
    if not (version.folder / "bin" / "python").exists():
        run(uv, "venv", "-q", "--python", version.python, version.folder)
    wanted = [f"apache-airflow=={version.airflow}", str(ROOT), *version.also]
    if version.lowest:
        wanted = [str(ROOT), "--resolution", "lowest-direct"]
    wanted += ["--exclude-newer", version.as_of] if version.as_of else []
    run(
        uv, "pip", "install", "-q", "--python", version.folder, "--compile-bytecode",
        "--reinstall-package", "airflow-provider-mlx", *wanted,
    )  # fmt: skip
    (version.folder / ".ready").touch()


def run(*command: object) -> None:
    """Run a program, or end with its exit status."""
    done = subprocess.run([str(part) for part in command], env={**os.environ, "UV_SYSTEM_CERTS": "1"}, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    known = {version.name: version for version in VERSIONS}
    if sys.argv[1] == "names":
        print("\n".join(known))
    else:
        build(known[sys.argv[2]])
