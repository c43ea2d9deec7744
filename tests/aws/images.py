"""
What an image reference means here: which interpreter ``python`` and ``python3`` are.

There are no images: their names are looked at for a tag only. ``…:missing`` cannot be pulled; ``…:boto3`` has this
environment's interpreter, with boto3 and obstore; any other has Python and pip, and nothing else.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
from pathlib import Path

from tests.cluster.cache import cache_root, kept

CANNOT_PULL = (
    "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
)
"""As users report it: https://github.com/aws/sagemaker-python-sdk/issues/57."""


def is_missing(image: str) -> bool:
    """Can it not be pulled?"""
    return image.endswith(":missing")


def interpreter(image: str, python: str | None) -> str:
    """
    The interpreter of an image.

    :param python: what the endpoint was given for all images without a tag of their own.
    """
    if image.endswith(":boto3"):
        return sys.executable
    return python or str(bare_environment() / "bin" / "python")


def bare_environment() -> Path:
    """A virtual environment with pip alone, made once per machine and interpreter."""
    base = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
    name = f"python-{sys.version_info.major}.{sys.version_info.minor}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"
    return kept(cache_root().parent / "aws" / name, lambda folder: _make_environment(base, folder))


def _make_environment(base: str, folder: Path) -> None:
    subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True)


def install(python: str, folder: Path) -> None:
    """Put ``python`` and ``python3`` into a folder of programs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        program = folder / name  # no link: an interpreter finds its environment beside the name it was called by
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
        program.chmod(0o755)
