"""A step of the contract, or a whole pipeline, that runs: for tests that look at it meanwhile and afterwards."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_mlx.backends.base import FoundJob, JobStatus
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.spec import JobSpec
from airflow_provider_mlx.testing.steps import ContractStep

SECONDS = 120.0
"""From its start to its end, an image that is new to the node included."""
ARGO = re.compile(r"Error: exit status \d+")
"""The last line of a log whose container failed: Argo's executor says so, as anybody would."""


class RunningStep:
    """
    Submitted when it is made.

    :param native_limit: seconds after which Kubernetes ends its pod, in the place of those that its plan has.
    """

    def __init__(
        self, backend: KubeflowPipelinesBackend, step: ContractStep, root: str, *, native_limit: int | None = None
    ) -> None:
        self.backend = backend
        self.step = step
        self.root = root
        self.request = step.prepare(backend, root)
        if native_limit is not None:
            platform = self.request["run"]["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
            (executor,) = platform["deploymentSpec"]["executors"].values()
            assert int(executor["activeDeadlineSeconds"]) > native_limit
            executor["activeDeadlineSeconds"] = str(native_limit)
        self.handle = backend.submit(self.request)

    @property
    def run_id(self) -> str:
        """Of its run."""
        return str(self.request["run"]["run_id"])

    def wait(self, until: Callable[[JobStatus], bool], seconds: float = SECONDS) -> JobStatus:
        """Look until its status is so."""
        end = time.monotonic() + seconds
        while True:
            found: FoundJob | None = self.backend.find(self.handle.name)
            if found is not None and until(found.status):
                return found.status
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds:.0f} s the step is still {found}")
            time.sleep(0.2)

    def finish(self) -> JobStatus:
        """Wait for its end, and bring what it left."""
        status = self.wait(lambda status: status.state.finished)
        self.backend.collect(self.handle, self.request)
        return status

    @property
    def result(self) -> dict[str, Any] | None:
        """``result.json``."""
        return self.step.ledger(self.backend, self.root).read_result()

    @property
    def error(self) -> dict[str, Any] | None:
        """``error.json``."""
        return self.step.ledger(self.backend, self.root).read_error()

    @property
    def log(self) -> list[str]:
        """All lines so far, without the runtime's own."""
        return [line for line in self.whole_log if "::mlx::" not in line and not ARGO.fullmatch(line)]

    @property
    def whole_log(self) -> list[str]:
        """All lines that the backend shows."""
        lines, cursor = [], ""
        while True:
            chunk = self.backend.read_log(self.handle, cursor)
            lines += chunk.lines
            if chunk.cursor == cursor:
                return lines
            cursor = chunk.cursor

    def wait_for_line(self, line: str, seconds: float = SECONDS) -> None:
        """Look until it has printed a line."""
        end = time.monotonic() + seconds
        while line not in self.log:
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds:.0f} s it has printed {self.log}")
            time.sleep(0.2)


class RunningPipeline:
    """A run of a whole pipeline, submitted when it is made; what it is asked is that of the operator."""

    def __init__(self, backend: PipelineRunBackend, pipeline: CompiledPipeline, root: str, name: str, **asked) -> None:
        self.backend = backend
        identity = TaskInstanceIdentity("tests", name, "in-pods", "pipeline")
        manifest = {"pipeline": {"spec": dict(pipeline.spec), "platform": pipeline.platform}, **asked}
        self.outputs = join(root, name)
        spec = JobSpec(
            name=identity.job_name(1), identity=identity, attempt=1, resources=Resources(), outputs_uri=self.outputs,
            manifest=manifest,
        )  # fmt: skip
        assert backend.problems(spec) == []
        self.request = backend.plan(spec)
        self.handle = backend.submit(self.request)

    @property
    def run_id(self) -> str:
        """Of its run."""
        return str(self.request["run"]["run_id"])

    def finish(self, seconds: float = 300) -> JobStatus:
        """Wait for its end, and bring what it left."""
        end = time.monotonic() + seconds
        while not (status := self.backend.find(self.handle.name).status).state.finished:
            if time.monotonic() > end:
                raise AssertionError(
                    f"after {seconds:.0f} s it is still {status}\n{self.backend.read_log(self.handle)}"
                )
            time.sleep(0.5)
        self.backend.collect(self.handle, self.request)
        return status

    def read(self, file: str) -> dict[str, Any]:
        """``result.json`` or ``error.json``."""
        return json.loads(self.backend.store.read(join(self.outputs, file)) or b"null")

    @property
    def value(self) -> dict[str, Any]:
        """What the operator pushes to XCom."""
        return self.read("result.json")["outputs"]["return_value"]["value"]
