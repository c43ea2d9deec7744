"""
The request of ``StartPipelineExecution``: pure.

One attempt has one token, so SageMaker starts one execution for it however often it is asked, and one display name, by
which a worker finds an execution whose answer was lost. What it was made from stands at the end of its description:
that is what SageMaker tells of an execution together with its status.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.sagemaker.names import sagemaker_name
from airflow_provider_mlx.backends.sagemaker.validation import request_problems
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.step.spec import JobSpec

from .settings import PipelineSettings, region_of

OPERATION: Final = "StartPipelineExecution"
MARK: Final = " mlx:"
"""Between the description that people read and what we read."""
DESCRIPTION_LIMIT: Final = 3072
"""Source: the API reference of ``StartPipelineExecution``, ``PipelineExecutionDescription``."""
_MARK_LENGTH: Final = len(MARK) + 64

_FIELDS: Final[Mapping[str, str]] = {
    "PipelineName": "pipeline",
    "PipelineExecutionDisplayName": "display_name",
    "PipelineParameters": "parameters",
    "PipelineExecutionDescription": "description",
    "ParallelismConfiguration": "parallelism",
    "SelectiveExecutionConfig.SourcePipelineExecutionArn": "source_execution",
    "SelectiveExecutionConfig": "selected_steps",
    "PipelineVersionId": "version",
    "PipelineVersionAlias": "version",
}
"""Member of the request → the operator's field."""


def execution_request(spec: JobSpec, settings: PipelineSettings) -> dict[str, Any]:
    """
    The request, but for the mark in its description, which has the request's digest.

    :param spec: whose manifest has the fields of the operator.
    """
    return {
        "name": spec.name,
        "operation": OPERATION,
        "outputs": spec.outputs_uri,
        "request": _body(spec, settings, spec.manifest or {}),
    }


def execution_problems(spec: JobSpec, settings: PipelineSettings) -> list[Problem]:
    """Everything in a request that the API does not take; what the pipeline itself takes is known when it is asked."""
    asked = spec.manifest or {}
    problems = [*_wrong_values(asked.get("parameters") or {}), *_wrong_numbers(asked)]
    named = region_of(settings.pipeline)
    if named and settings.region and named != settings.region:
        what = f"the pipeline's ARN is of {named}, and the region is {settings.region}"
        problems.append(Problem(what, "leave `region=` out, or name the pipeline of that region", "region"))
    if asked.get("source_execution") and not asked.get("selected_steps"):
        what = "an execution whose results are used goes with the steps that run anew"
        problems.append(Problem(what, "name them in `selected_steps=`", "source_execution"))
    try:
        settings.page("", "", "")
    except (LookupError, ValueError, AttributeError) as error:
        what = f"{settings.console_url!r} cannot be filled in: {error}"
        problems.append(Problem(what, "it may hold {region}, {pipeline} and {execution}", "console_url"))
    room = DESCRIPTION_LIMIT - _MARK_LENGTH
    if len(_description(spec, asked)) > room:
        problems.append(Problem(f"it is longer than {room} characters", "shorten it", "description"))
    if not problems:
        found = request_problems(OPERATION, _body(spec, settings, asked))
        problems = [Problem(one.what, "see the field's meaning in the reference", _field(one.field)) for one in found]
    return problems


def wire_text(value: object) -> str:
    """A parameter as the API takes it: text, numbers and booleans as JSON spells them."""
    return value if isinstance(value, str) else json.dumps(value)


def display_tail(job: str) -> str:
    """What the display name of a job's execution ends in: the digest of its task instance, and the attempt."""
    return "-" + "-".join(job.rsplit("-", 2)[1:])


def display_name(job: str, wished: str = "") -> str:
    """
    The display name of a job's execution.

    :param wished: what it begins with instead of DAG and task.
    """
    return f"{wished}{display_tail(job)}" if wished else sagemaker_name(job)


def token(*parts: str) -> str:
    """An idempotency token of 64 characters, the same for the same parts."""
    return hashlib.sha256("/".join(("airflow-provider-mlx", *parts)).encode()).hexdigest()


def marked(description: str, digest: str) -> str:
    """A description that says, behind what people read, from which request the execution was made."""
    return f"{description}{MARK}{digest}"


def digest_in(description: str) -> str:
    """The digest in a description; empty for an execution that is not ours."""
    tail = description.rpartition(MARK)[2]
    return tail if re.fullmatch(r"[0-9a-f]{64}", tail) else ""


def _body(spec: JobSpec, settings: PipelineSettings, asked: Mapping[str, Any]) -> dict[str, Any]:
    parameters = asked.get("parameters") or {}
    body: dict[str, Any] = {
        "PipelineName": settings.pipeline,
        "PipelineExecutionDisplayName": display_name(spec.name, str(asked.get("display_name") or "")),
        "PipelineExecutionDescription": _description(spec, asked),
        "ClientRequestToken": token("start", spec.identity.digest, str(spec.attempt)),
    }
    if parameters:
        body["PipelineParameters"] = [
            {"Name": str(name), "Value": wire_text(value)} for name, value in parameters.items()
        ]
    if asked.get("version") is not None:
        version = _whole(asked["version"])
        body["PipelineVersionAlias" if isinstance(version, str) else "PipelineVersionId"] = version
    if asked.get("parallelism") is not None:
        body["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": _whole(asked["parallelism"])}
    if asked.get("selected_steps"):
        selected: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in asked["selected_steps"]]}
        if asked.get("source_execution"):
            selected["SourcePipelineExecutionArn"] = asked["source_execution"]
        body["SelectiveExecutionConfig"] = selected
    return body


def _description(spec: JobSpec, asked: Mapping[str, Any]) -> str:
    said = str(asked.get("description") or f"Airflow: {spec.identity} · attempt {spec.attempt}")
    return re.sub(r"\s+", " ", said).strip()


def _whole(value: object) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d+", value, re.ASCII) else value


def _wrong_numbers(asked: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(f"{asked[name]!r} is no whole number from 1 on", "write one, or leave it out", name)
        for name in ("version", "parallelism")
        if asked.get(name) is not None
        and not (type(number := _whole(asked[name])) is int and number >= 1)
        and not (name == "version" and isinstance(number, str))
    ]  # fmt: skip


def _wrong_values(parameters: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for name, value in parameters.items():
        if not isinstance(value, (str, bool, int, float)):
            what = f"a {type(value).__name__} is no value of a parameter"
            problems.append(Problem(what, "give text, a number or a boolean", f"parameters[{name!r}]"))
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(Problem(f"{value} is no number of JSON", "give a finite one", f"parameters[{name!r}]"))
    return problems


def _field(path: str) -> str:
    """The operator's field for a path in the request."""
    best = max((member for member in _FIELDS if path.startswith(member)), key=len, default="")
    return f"{_FIELDS[best]}{path[len(best) :]}" if best else path
