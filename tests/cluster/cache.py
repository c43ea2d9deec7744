"""What is built once per machine and kept outside the repository, by the digest of what it is built from."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from .locks import alone


def cache_root() -> Path:
    """Where binaries and images are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "airflow-provider-mlx" / "cluster"


def digest_of(files: Iterable[Path], relative_to: Path) -> str:
    """A short digest of some files' names and contents."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(relative_to)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def kept(folder: Path, build: Callable[[Path], None]) -> Path:
    """
    A folder of the cache, built now if it is not there.

    Who builds the same at the same time waits. What fails leaves nothing.

    :param build: fills an empty folder, which becomes ``folder`` when it is complete.
    """
    with alone(folder):
        if not folder.exists():
            draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                build(draft)
                draft.chmod(0o755)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder
