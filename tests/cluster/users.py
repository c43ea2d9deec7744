"""
Which processes use a cluster, so that whoever comes later can end one that nobody uses any more.

A cluster is plain processes, and these outlive a test process that was killed.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.processes import Process, find

from .network import PLACES

MARK = "used-by-"
"""In a cluster's folder, one file per process that uses it, whose pid and start time follow."""


def mark_use(folder: Path) -> Path:
    """Say that this process uses the cluster, and return the mark, to be removed when it no longer does."""
    me = find(os.getpid())
    assert me is not None
    mark = folder / f"{MARK}{me.pid}-{me.started}"
    mark.touch()
    return mark


def users(folder: Path) -> list[Process]:
    """Processes that use a cluster and are alive."""
    marks = (path.name.removeprefix(MARK).partition("-") for path in folder.glob(f"{MARK}*"))
    marked = [Process(int(pid), started) for pid, _, started in marks]
    return [process for process in marked if process.alive()]


def abandoned() -> list[Path]:
    """
    Folders of clusters with nodes on this machine whose every user has ended without a word.

    One that never had a user is somebody's who started it by hand.
    """
    folders = [place.user for place in PLACES if place.is_taken]
    return [folder for folder in folders if folder and any(folder.glob(f"{MARK}*")) and not users(folder)]
