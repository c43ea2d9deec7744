"""What a test of the contract has at hand: a root, a store, steps that are submitted and ended again, and patience."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import Backend, FoundJob, JobHandle

from .steps import ContractStep


class ContractFixtures:
    """Part of ``BackendContract``, whose class variables these are."""

    seconds: ClassVar[float] = 30.0
    artifacts_conn_id: ClassVar[str | None] = None

    # --- what a subclass may replace -----------------------------------------------------------------------------

    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        """The artifact root; a folder whose name needs care, unless replaced."""
        return (tmp_path / "artifact röot").as_uri()

    @pytest.fixture
    def store(self) -> ObjectStore:
        """The artifact store, as this process opens it."""
        return ObjectStore()

    @pytest.fixture
    def backend(self, store: ObjectStore) -> Backend:
        """The backend under test."""
        raise NotImplementedError("a contract test needs a `backend` fixture")

    @pytest.fixture
    def secret(self, monkeypatch: pytest.MonkeyPatch) -> tuple[Mapping[str, str], str]:
        """The backend's reference to a secret, and the value that is there now."""
        raise NotImplementedError("a contract test needs a `secret` fixture")

    # --- steps and waiting ---------------------------------------------------------------------------------------

    @cached_property
    def requests(self) -> dict[str, Mapping[str, Any]]:
        """What the jobs of this test were made from, by their names."""
        return {}

    @pytest.fixture
    def started(self, backend: Backend, root: str) -> Iterator[Callable[[ContractStep], JobHandle]]:
        """Submits a step and, at the end of the test, stops and forgets its job."""
        handles: list[JobHandle] = []

        def start(step: ContractStep) -> JobHandle:
            request = step.prepare(backend, root)
            handles.append(backend.submit(request))
            self.requests[handles[-1].name] = request
            return handles[-1]

        yield start
        for handle in handles:
            backend.cancel(handle)
            self.wait(backend, handle.name, lambda found: found is None or found.status.state.finished)
            backend.forget(handle)

    def wait(self, backend: Backend, name: str, until: Callable[[FoundJob | None], bool]) -> FoundJob | None:
        """Look until it is so."""
        end = time.monotonic() + self.seconds
        while not until(found := backend.find(name)):
            if time.monotonic() > end:
                raise AssertionError(f"after {self.seconds:.0f} s the job {name} is still {found}")
            time.sleep(0.02)
        return found

    def finish(self, backend: Backend, handle: JobHandle) -> FoundJob:
        """Wait for the end, and bring the results."""
        found = self.wait(backend, handle.name, lambda found: found is not None and found.status.state.finished)
        assert found is not None
        backend.collect(found.handle, self.requests.get(handle.name, {}))
        return found

    def read_log(self, backend: Backend, handle: JobHandle, cursor: str = "") -> list[str]:
        """Every line from a cursor on, without the runtime's own."""
        lines: list[str] = []
        while True:
            chunk = backend.read_log(handle, cursor)
            lines += [line for line in chunk.lines if "::mlx::" not in line]
            if chunk.cursor == cursor:
                return lines
            cursor = chunk.cursor

    def wait_for_line(self, backend: Backend, handle: JobHandle, line: str) -> None:
        """Look until the job has printed it."""
        self.wait(backend, handle.name, lambda found: line in self.read_log(backend, handle))

    def in_another_process(self, verb: str, given: Mapping[str, Any], **env: str) -> Any:
        """Run a verb of ``testing/steps.py`` in a fresh interpreter; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow_provider_mlx.testing.steps", verb, json.dumps(given)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])
