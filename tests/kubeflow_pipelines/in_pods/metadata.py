"""ML Metadata for the stack: its package, in a folder of its own since it holds back packages that Airflow needs newer."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Final

from tests.cluster.binaries import install
from tests.cluster.cache import cache_root, digest_of, kept
from tests.cluster.problems import PartMissing
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "metadata.txt"
PROGRAM: Final = HERE / "metadata_server.py"
SERVER: Final = "metadata"
"""The name of its process."""
PYTHON: Final = "3.11"
"""The last one that it has a wheel for."""


def metadata_folder() -> Path:
    """Its place in the cache."""
    return cache_root() / f"ml-metadata-{digest_of([REQUIREMENTS], HERE)}"


def install_metadata() -> Path:
    """
    Install it if this machine does not have it, and return its folder.

    :raises PartMissing: there is no interpreter for it, or the registry did not give it.
    """
    interpreter()
    return kept(metadata_folder(), _install)


def installed_metadata() -> Path:
    """
    The folder with its packages.

    :raises PartMissing: they are not there yet, or there is no interpreter for them.
    """
    interpreter()
    if not metadata_folder().exists():
        raise PartMissing("ML Metadata is not on this machine → `python -m tests.kubeflow_pipelines build --in-pods`")
    return metadata_folder()


def interpreter() -> str:
    """
    What runs it.

    :raises PartMissing: there is none of its version.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        return sys.executable
    if found := shutil.which(f"python{PYTHON}"):
        return found
    raise PartMissing(f"ML Metadata has no wheel after Python {PYTHON} → have a python{PYTHON} on the PATH")


def start_metadata(processes: Processes, folder: Path, address: str, port: int) -> None:
    """Start the server, with a database that is empty."""
    file = folder / "metadata.sqlite"
    file.unlink(missing_ok=True)
    command = [interpreter(), "-S", PROGRAM, address, str(port), file]
    processes.start(SERVER, command, {"PYTHONPATH": str(installed_metadata()), "PYTHONSAFEPATH": "1"})

    def listens() -> bool:
        processes.must_live(SERVER)
        with socket.create_connection((address, port), timeout=1):
            return True

    wait_until(SERVER, listens)


def _install(draft: Path) -> None:
    wanted = ["--python-version", PYTHON, "--python-platform", f"{os.uname().machine}-unknown-linux-gnu"]
    install(draft, *wanted, "--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENTS))
