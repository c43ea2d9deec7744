"""This machine's old local job folders and environments: what may go, and its removal."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.runtime.environment import COMPLETE

from .places import Scene

_REQUEST: Final = "request.json"


@dataclass(frozen=True)
class Folder:
    """A folder that may go: its kind, bytes, and what removes it (``False``: it is in use after all)."""

    kind: str
    path: Path
    size: int
    remove: Callable[[], bool]


def work_dirs(scene: Scene) -> list[Path]:
    """The folders of local jobs that the stacks of this deployment name."""
    found = {scene.settings.local_root / "local"}
    for stack in scene.stacks.stacks.values():
        for candidates in stack.targets.values():
            found |= {
                Path(target.settings.work_dir).expanduser()
                for target in candidates
                if isinstance(target.settings, LocalSettings) and target.settings.work_dir
            }
    return sorted(found)


def old_folders(
    work_dir: Path, *, keep: timedelta, now: datetime, is_needed: Callable[[str], bool]
) -> Iterator[Folder]:
    """
    Job folders and environments under a local target's ``work_dir`` that nothing uses.

    :param is_needed: whether the attempt with this folder in the artifact root may still be adopted or collected.
    """
    backend = LocalBackend(LocalSettings(work_dir=str(work_dir)))
    for folder in _folders(work_dir / "jobs"):
        if now - youngest(folder) >= keep and not is_active(backend, folder) and not is_needed(_outputs(folder)):
            yield Folder("local job", folder, size_of(folder), lambda folder=folder: _remove(folder))  # type: ignore[misc]
    for folder in _folders(work_dir / "environments"):
        complete = folder / COMPLETE
        if now - (modified(complete) if complete.exists() else youngest(folder)) >= keep:
            yield Folder(
                "environment", folder, size_of(folder),
                lambda folder=folder: remove_environment(backend, work_dir, folder),  # type: ignore[misc]
            )  # fmt: skip


def is_active(backend: LocalBackend, folder: Path) -> bool:
    """Whether the job of a folder may be running; unknown is active."""
    try:
        found = backend.find(folder.name)
    except (BackendUnavailable, ValueError, KeyError):
        return True
    return found is not None and found.status.state is State.ACTIVE


def remove_environment(backend: LocalBackend, work_dir: Path, folder: Path) -> bool:
    """
    Remove an environment under the lock of its builder, unless a local job is active.

    A job takes its lease before it asks for its environment, and asks under this lock: either it is seen here, or it
    waits, finds nothing, and builds the environment anew.
    """
    with _try_lock(folder.with_name(f"{folder.name}.lock")) as locked:
        if not locked or any(is_active(backend, job) for job in _folders(work_dir / "jobs")):
            return False
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _remove(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return True


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _outputs(folder: Path) -> str:
    """The attempt's folder in the artifact root; empty where the job's folder does not say it."""
    try:
        return str(json.loads((folder / _REQUEST).read_text())["outputs_uri"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def youngest(folder: Path) -> datetime:
    """When a file directly in a folder was written last."""
    return max([modified(folder), *(modified(path) for path in folder.iterdir() if not path.is_symlink())])


def modified(path: Path) -> datetime:
    """When a file was written last, UTC."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
