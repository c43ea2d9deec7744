"""
The operations of SageMaker Pipelines that start, watch and stop executions.

Pages cited are of https://docs.aws.amazon.com/sagemaker/latest/APIReference/. What else there is to pipelines (versions,
callbacks, retries) is refused.
"""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .errors import AwsError, Unsupported, validation
from .jobs import utcnow
from .objects import RoleObjects
from .pipeline_definition import parse_definition
from .pipeline_execution import Execution, JobMaker
from .roles import Principal
from .site import Site

_REFUSED = (
    "UpdatePipelineExecution", "RetryPipelineExecution", "SendPipelineExecutionStepSuccess",
    "SendPipelineExecutionStepFailure", "ListPipelineVersions", "UpdatePipelineVersion",
)  # fmt: skip


class PipelinesApi:
    """Answers by operation name."""

    def __init__(self, site: Site, jobs: JobMaker) -> None:
        self._site, self._jobs = site, jobs
        self._lock = threading.Lock()
        self._pipelines: dict[str, dict[str, Any]] = {}
        self._executions: dict[str, Execution] = {}
        self._by_token: dict[tuple[str, str], str] = {}
        self.operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreatePipeline": self._create,
            "UpdatePipeline": self._update,
            "DeletePipeline": self._delete,
            "DescribePipeline": self._describe,
            "ListPipelines": self._list,
            "StartPipelineExecution": self._start,
            "DescribePipelineExecution": self._describe_execution,
            "ListPipelineExecutions": self._list_executions,
            "ListPipelineExecutionSteps": self._list_steps,
            "ListPipelineParametersForExecution": self._list_parameters,
            "DescribePipelineDefinitionForExecution": self._definition_for_execution,
            "StopPipelineExecution": self._stop,
            **dict.fromkeys(_REFUSED, _refuse),
        }

    # --- pipelines ---------------------------------------------------------------------------------------------------

    def _create(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, token = asked["PipelineName"], ("create", asked["ClientRequestToken"])
        text = self._definition_text(asked)
        parse_definition(text)
        self._site.roles.check_passable(asked["RoleArn"])
        arn = f"arn:aws:sagemaker:{self._site.region}:{self._site.account}:pipeline/{name.lower()}"
        with self._lock:
            if self._by_token.get(token) == arn:
                return {"PipelineArn": arn}
            if name in self._pipelines:
                raise validation(
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists."
                )
            now = utcnow()
            self._by_token[token] = arn
            self._pipelines[name] = {
                **{key: value for key, value in asked.items() if key in _KEPT}, "PipelineArn": arn,
                "PipelineDefinition": text, "PipelineStatus": "Active", "CreationTime": now, "LastModifiedTime": now,
            }  # fmt: skip
        return {"PipelineArn": arn}

    def _update(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(asked["PipelineName"])
        changed = {key: value for key, value in asked.items() if key in _KEPT}
        if "PipelineDefinition" in asked or "PipelineDefinitionS3Location" in asked:
            text = self._definition_text({"RoleArn": pipeline["RoleArn"], **asked})
            parse_definition(text)
            changed["PipelineDefinition"] = text
        with self._lock:
            pipeline.update(changed, LastModifiedTime=utcnow())
        return {"PipelineArn": pipeline["PipelineArn"]}

    def _delete(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_DeletePipeline: "if there are no running instances of the pipeline"."""
        pipeline = self._pipeline(asked["PipelineName"])
        if any(not one.is_over for one in self._of(pipeline["PipelineArn"])):
            raise AwsError("ConflictException", "The pipeline has executions that run")
        with self._lock:
            del self._pipelines[pipeline["PipelineName"]]
        return {"PipelineArn": pipeline["PipelineArn"]}

    def _describe(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._pipeline(asked["PipelineName"]))

    def _list(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            found = [
                one for name, one in self._pipelines.items() if name.startswith(asked.get("PipelineNamePrefix", ""))
            ]
        members = ("PipelineArn", "PipelineName", "RoleArn", "CreationTime", "LastModifiedTime")
        return _page("PipelineSummaries", [{key: one[key] for key in members} for one in found], asked)

    def _pipeline(self, name_or_arn: str) -> dict[str, Any]:
        with self._lock:
            for name, pipeline in self._pipelines.items():
                if name_or_arn in (name, pipeline["PipelineArn"]):
                    return pipeline
        raise AwsError("ResourceNotFound", f"Pipeline '{name_or_arn}' does not exist.")

    def _definition_text(self, asked: Mapping[str, Any]) -> str:
        if "PipelineDefinition" in asked:
            return str(asked["PipelineDefinition"])
        place = asked.get("PipelineDefinitionS3Location")
        if place is None:
            raise validation("PipelineDefinition or PipelineDefinitionS3Location is required")
        objects: RoleObjects = self._site.objects(Principal(asked["RoleArn"]))
        return objects.read(place["Bucket"], place["ObjectKey"]).decode()

    # --- executions --------------------------------------------------------------------------------------------------

    def _start(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_StartPipelineExecution: "An idempotent operation completes no more than once", by ClientRequestToken."""
        for member in ("SelectiveExecutionConfig", "PipelineVersionId", "PipelineVersionAlias", "RoleArn"):
            if member in asked:
                raise Unsupported(f"StartPipelineExecution with {member}")
        pipeline, token = self._pipeline(asked["PipelineName"]), ("start", asked["ClientRequestToken"])
        definition = parse_definition(pipeline["PipelineDefinition"])
        given = {one["Name"]: one["Value"] for one in asked.get("PipelineParameters", [])}
        values = definition.values(given)
        parallel = asked.get("ParallelismConfiguration", pipeline.get("ParallelismConfiguration", {}))
        identity = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
        with self._lock:
            if token in self._by_token:
                return {"PipelineExecutionArn": self._by_token[token]}
            execution = Execution(
                pipeline["PipelineArn"], f"{pipeline['PipelineArn']}/execution/{identity}", definition, values,
                pipeline["RoleArn"], self._jobs, parallel.get("MaxParallelExecutionSteps"),
                asked.get("PipelineExecutionDisplayName", f"execution-{identity}"),
                asked.get("PipelineExecutionDescription", ""),
            )  # fmt: skip
            self._executions[execution.arn] = execution
            self._by_token[token] = execution.arn
            pipeline["LastRunTime"] = execution.created
        execution.start()
        return {"PipelineExecutionArn": execution.arn}

    def _describe_execution(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with (one := self._execution(asked)).lock:
            told = {
                "PipelineArn": one.pipeline_arn, "PipelineExecutionArn": one.arn, "CreationTime": one.created,
                "PipelineExecutionDisplayName": one.display_name, "PipelineExecutionStatus": one.status,
                "PipelineExecutionDescription": one.description, "FailureReason": one.reason,
                "LastModifiedTime": one.modified,
                "ParallelismConfiguration": {"MaxParallelExecutionSteps": one.most} if one.most else None,
            }  # fmt: skip
        return {name: value for name, value in told.items() if value not in (None, "")}

    def _list_executions(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._of(self._pipeline(asked["PipelineName"])["PipelineArn"])
        after, before = asked.get("CreatedAfter"), asked.get("CreatedBefore")
        rows = [
            {
                "PipelineExecutionArn": one.arn, "StartTime": one.created, "PipelineExecutionStatus": one.status,
                "PipelineExecutionDisplayName": one.display_name,
                **({"PipelineExecutionFailureReason": one.reason} if one.reason else {}),
            }
            for one in found
            if (after is None or one.created > datetime.fromtimestamp(after, UTC))
            and (before is None or one.created < datetime.fromtimestamp(before, UTC))
        ]  # fmt: skip
        return _page("PipelineExecutionSummaries", _ordered(rows, asked), asked)

    def _list_steps(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_ListPipelineExecutionSteps: only steps that have begun are there."""
        with (one := self._execution(asked)).lock:
            rows = [run.describe() for run in one.runs.values()]
        return _page("PipelineExecutionSteps", _ordered(rows, asked), asked)

    def _list_parameters(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        values = self._execution(asked).parameters
        return _page("PipelineParameters", [{"Name": k, "Value": str(v)} for k, v in values.items()], asked)

    def _definition_for_execution(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        one = self._execution(asked)
        pipeline = next(p for p in self._pipelines.values() if p["PipelineArn"] == one.pipeline_arn)
        return {"PipelineDefinition": pipeline["PipelineDefinition"], "CreationTime": one.created}

    def _stop(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        one = self._execution(asked)
        with one.lock:
            if one.is_over:
                raise validation(
                    f"Pipeline execution with ARN {one.arn} status {one.status}. Only pipelines with "
                    '"Executing" status can be stopped.'
                )
            if one.status != "Stopping":
                one.stop()
        return {"PipelineExecutionArn": one.arn}

    def _execution(self, asked: Mapping[str, Any]) -> Execution:
        found = self._executions.get(asked.get("PipelineExecutionArn", ""))
        if found is None:
            raise AwsError(
                "ResourceNotFound", f"Pipeline execution '{asked.get('PipelineExecutionArn')}' does not exist."
            )
        return found

    def _of(self, pipeline_arn: str) -> list[Execution]:
        with self._lock:
            return [one for one in self._executions.values() if one.pipeline_arn == pipeline_arn]


_KEPT = ("PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")


def _ordered(rows: list[dict[str, Any]], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    return rows[::-1] if asked.get("SortOrder") == "Descending" else rows


def _page(member: str, rows: list[dict[str, Any]], asked: Mapping[str, Any]) -> dict[str, Any]:
    start = int(asked.get("NextToken", 0))
    end = start + asked.get("MaxResults", 10)
    return {member: rows[start:end], **({"NextToken": str(end)} if end < len(rows) else {})}


def _refuse(asked: Mapping[str, Any]) -> dict[str, Any]:
    raise Unsupported(f"this operation of pipelines: {dict(asked)}")
