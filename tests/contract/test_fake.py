"""The contract suite on the smallest backend that keeps it: the suite asks for what a backend needs, and no more."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.testing import BackendContract
from airflow_provider_mlx.testing.processes import ProcessBackend, ProcessSettings

WHY = "it only starts a process → use a real backend"


class TestProcessBackend(BackendContract):
    cannot = dict.fromkeys(
        ("cpu", "memory", "gpu", "shm", "disk", "nodes", "launcher", "spot", "priority", "command", "image"), WHY
    )
    shared = False

    @pytest.fixture
    def backend(self, store):
        return ProcessBackend(ProcessSettings(), store=store)

    @pytest.fixture
    def secret(self, monkeypatch):
        monkeypatch.setenv("CONTRACT_SECRET", "s3cr3t-canary")
        return {"variable": "CONTRACT_SECRET"}, "s3cr3t-canary"
