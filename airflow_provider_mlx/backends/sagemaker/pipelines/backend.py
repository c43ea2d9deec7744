"""
Runs executions of pipelines that are in SageMaker already: a job is one execution.

Starting one is get-or-create by its token. The life of such a job is every job's: this says what its request is, which
execution a job's name means, and what its steps leave behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from airflow_provider_mlx.backends.base import (
    FoundJob,
    JobHandle,
    JobObserver,
    LogChunk,
    State,
    TargetSettings,
)
from airflow_provider_mlx.backends.inner import OUTCOMES, record_tasks
from airflow_provider_mlx.backends.outcomes import record_outcome
from airflow_provider_mlx.backends.sagemaker.aws_backend import AwsBackend
from airflow_provider_mlx.backends.sagemaker.client import Missing
from airflow_provider_mlx.exceptions import (
    BackendUnavailable,
    InvalidStep,
    JobConflict,
    MlxError,
    Problem,
    first_line,
)
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.spec import JobSpec, request_digest

from .inner import inner_tasks
from .observer import PipelineObserver
from .outcome import Jobs, error_of, result_of
from .parameters import definition_problems, parse_definition
from .reading import list_steps, new_lines
from .request import digest_in, display_tail, execution_problems, execution_request, marked, token
from .settings import PipelineSettings, name_of
from .steps import status_of

PAGES: Final = 50
"""Of the list in which a worker looks for an execution whose answer was lost, 100 each, the newest first."""
PAGES_BEFORE_START: Final = 3
"""The same before a start: how long SageMaker remembers a token is not documented."""


class PipelineBackend(AwsBackend):
    """Runs one execution of a pipeline per job."""

    name = "sagemaker_pipeline"
    has_tasks = True
    settings_model: ClassVar[type[TargetSettings]] = PipelineSettings
    settings: PipelineSettings

    _refused = ""
    """The last complaint about a missing right, which is said once."""

    @property
    def region(self) -> str:
        """The task's, or that of the pipeline's ARN."""
        return self.settings.where

    # --- planning ------------------------------------------------------------------------------------------------

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request, but for the mark that holds its own digest."""
        return execution_request(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What the API does not take."""
        return execution_problems(spec, self.settings)

    def what_runs(self, request: Mapping[str, Any]) -> str:
        """The pipeline."""
        return name_of(request["request"]["PipelineName"])

    # --- starting and looking ------------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """
        Start the execution; the same request again is the same execution.

        :raises InvalidStep: the pipeline's definition does not take the parameters; nothing was started.
        """
        digest, body = request_digest(request), request["request"]
        if there := self._arn_of(request["name"], pages=PAGES_BEFORE_START):
            return self._ours(request["name"], there, digest)
        self._check(body)
        described = marked(body["PipelineExecutionDescription"], digest)
        answer = self.client.call("start_pipeline_execution", **{**body, "PipelineExecutionDescription": described})
        return self._ours(request["name"], answer["PipelineExecutionArn"], digest)

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """The execution, by its ARN, or by its display name where the answer that had it was lost."""
        arn = (location or {}).get("execution") or self._arn_of(name)
        return self._found(name, arn) if arn else None

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """A line per step that has begun or ended, and the end of a failed job's log."""
        execution = self._execution(handle)
        if not execution:
            return LogChunk((), cursor)
        try:
            return new_lines(self.client, list_steps(self.client, execution), cursor)
        except BackendUnavailable:
            raise
        except Missing as error:
            raise BackendUnavailable(f"the steps of the execution cannot be listed: {error}") from None
        except MlxError as error:  # a right is missing: what runs is not stopped for want of a log
            said = f"the steps cannot be listed: {first_line(error)}"
            if self._refused == said:
                return LogChunk((), cursor)
            self._refused = said
            return LogChunk((said,), cursor)

    def observer(self) -> JobObserver:
        """A list per pipeline, with a client of its own: another thread may use this backend's."""
        return PipelineObserver(self._new_client())

    def observer_of(self, handle: JobHandle) -> JobObserver | None:
        """The same for one execution, waiting for its changes; one whose ARN was lost is asked for by its name."""
        return PipelineObserver(self._new_client(), waits=True) if handle.location.get("execution") else None

    def watch_scope(self) -> Mapping[str, Any]:
        """A region: one watcher sees the executions of all its pipelines."""
        return {"region": self.settings.where}

    def link(self, handle: JobHandle) -> str | None:
        """By ``console_url``; Studio, where it is not set."""
        place = handle.location
        if not place.get("execution"):
            return None
        execution = place["execution"].rpartition("/")[2]
        return self.settings.page(place["region"], name_of(place["pipeline"]), execution)

    # --- ending --------------------------------------------------------------------------------------------------

    def cancel(self, handle: JobHandle) -> None:
        """Stop it: SageMaker stops the jobs of its steps and begins no more. What ends meanwhile is no error."""
        arn = self._execution(handle)
        request = {"PipelineExecutionArn": arn, "ClientRequestToken": token("stop", arn)}
        self._stop_unless_over(
            lambda: self._is_over(arn), lambda: self.client.call("stop_pipeline_execution", **request)
        )

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """Write down its steps, and the result, or which step failed and why; what is written already stays."""
        told = self._describe(self._execution(handle))
        if told is None:
            return
        state = status_of(told["PipelineExecutionStatus"]).state
        last = OUTCOMES.get(state)
        if last is None or self.store.facts(join(request["outputs"], last)) is not None:
            return
        steps = list_steps(self.client, told["PipelineExecutionArn"])
        jobs = Jobs(self.client, steps, needed=state is State.SUCCEEDED)
        record_tasks(self.store, request["outputs"], [*inner_tasks(steps, jobs)])
        if state is State.SUCCEEDED:
            record_outcome(self.store, request["outputs"], last, result_of(told, steps, jobs))
        elif state is State.FAILED:
            record_outcome(self.store, request["outputs"], last, error_of(self.client, told, steps))

    # --- parts ---------------------------------------------------------------------------------------------------

    def _check(self, body: Mapping[str, Any]) -> None:
        """
        Compare a request with the pipeline's definition.

        :raises InvalidStep: it has other parameters or steps; all problems at once.
        """
        pipeline = body["PipelineName"]
        version = {key: body[key] for key in ("PipelineVersionId", "PipelineVersionAlias") if key in body}
        try:
            told = self.client.call("describe_pipeline", PipelineName=pipeline, **version)
        except Missing:
            raise InvalidStep(
                f"there is no pipeline `{name_of(pipeline)}` in {self.client.region}",
                [Problem("SageMaker does not know it", "check its name, the region, and the account of the connection",
                         "pipeline")],
            ) from None  # fmt: skip
        definition = parse_definition(told["PipelineDefinition"])
        problems = definition_problems(definition, body) if definition else []
        if problems:
            raise InvalidStep(
                f"the pipeline `{told['PipelineName']}` does not take this; nothing was started", problems
            )

    def _ours(self, name: str, arn: str, digest: str) -> JobHandle:
        """
        An execution that was started under a job's name.

        :raises JobConflict: it was made from another request.
        """
        found = self._found(name, arn)
        if found is None:
            raise BackendUnavailable(f"{arn} was started and is not there yet")
        if found.request_digest != digest:
            raise JobConflict(
                f"the execution {arn} was made from another request",
                remedy="two Airflows with one `[mlx] deployment_id` use this account and region: give each its own",
            )
        return found.handle

    def _arn_of(self, name: str, *, pages: int = PAGES) -> str:
        """The execution with the display name of a job, among the newest; empty if there is none."""
        request: dict[str, Any] = {
            "PipelineName": self.settings.pipeline, "SortBy": "CreationTime", "SortOrder": "Descending",
            "MaxResults": 100,
        }  # fmt: skip
        for _ in range(pages):
            try:
                answer = self.client.call("list_pipeline_executions", **request)
            except Missing:
                return ""
            for entry in answer["PipelineExecutionSummaries"]:
                if str(entry.get("PipelineExecutionDisplayName", "")).endswith(display_tail(name)):
                    return str(entry["PipelineExecutionArn"])
            if not answer.get("NextToken"):
                return ""
            request["NextToken"] = answer["NextToken"]
        return ""

    def _found(self, name: str, arn: str) -> FoundJob | None:
        told = self._describe(arn)
        if told is None:
            return None
        status = status_of(told["PipelineExecutionStatus"], str(told.get("FailureReason") or ""))
        digest = digest_in(str(told.get("PipelineExecutionDescription", "")))
        location = {
            "region": arn.split(":")[3], "pipeline": str(told.get("PipelineArn") or self.settings.pipeline),
            "execution": arn,
        }  # fmt: skip
        return FoundJob(JobHandle(self.name, name, id=arn, location=location), status, digest)

    def _execution(self, handle: JobHandle) -> str:
        """A handle's ARN; of one that was made from a name alone, as far as the name is found."""
        return handle.location.get("execution") or self._arn_of(handle.name)

    def _describe(self, arn: str) -> dict[str, Any] | None:
        if not arn:
            return None
        try:
            return self.client.call("describe_pipeline_execution", PipelineExecutionArn=arn)
        except Missing:
            return None

    def _is_over(self, arn: str) -> bool:
        told = self._describe(arn)
        if told is None:
            return True
        status = status_of(told["PipelineExecutionStatus"])
        return status.state.finished or status.stopping
