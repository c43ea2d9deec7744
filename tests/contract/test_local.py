"""The contract suite on the local backend: with a file system as artifact root, and with S3, which it stages."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar

import pytest

from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.testing import BackendContract
from tests.contract.conftest import CONN_ID


class TestLocal(BackendContract):
    cannot: ClassVar = {
        "gpu": "a process of the worker cannot reserve a GPU → use a target on a cluster, or `on_unsupported: warn`",
        "nodes": "there is one host → use a target that runs TrainJobs or SageMaker training jobs",
        "launcher": "torchrun needs a cluster's rendezvous → use a target that runs TrainJobs",
        "spot": "there is nothing to take back → leave spot out",
        "shm": "/dev/shm is the host's own → leave shm out",
        "disk": "the disk is the host's own → leave disk out",
        "priority": "there is no queue → leave priority out",
        "max_queue": "there is no queue: a job starts at once → leave it out",
        "give_up_pending_after": "there is no queue: a job starts at once → leave it out",
        "on_demand_fallback": "there is no spot → leave it out",
        "command": "a container command needs a container runtime → use a kubernetes target, or make it a script step",
        "image": "a process has no image → use a kubernetes target, or `requirements=`",
    }

    @pytest.fixture
    def backend(self, store, tmp_path):
        work_dir = tmp_path / "wörk dir"
        yield LocalBackend(LocalSettings(work_dir=str(work_dir)), store=store)
        assert_nothing_runs_under(work_dir)

    @pytest.fixture
    def secret(self, monkeypatch):
        monkeypatch.setenv("CONTRACT_SECRET", "s3cr3t-canary")
        return {"env": "CONTRACT_SECRET"}, "s3cr3t-canary"


class TestLocalOnS3(TestLocal):
    artifacts_conn_id = CONN_ID

    @pytest.fixture
    def root(self, tmp_path):
        return f"s3://artifacts/{tmp_path.name}"

    @pytest.fixture
    def store(self, s3_store):
        return s3_store


def assert_nothing_runs_under(folder: Path) -> None:
    """No process, zombie or orphan, of a job outlives its test."""
    end = time.monotonic() + 5
    while left := [line for line in processes() if str(folder) in line]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def processes() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            zombie = f"zombie of {os.getpid()}" if state[0] == "Z" and state[1] == str(os.getpid()) else ""
            found.append(f"{entry.name} {command} {zombie}")
    return found
