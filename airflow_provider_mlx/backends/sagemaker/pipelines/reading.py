"""What is asked about one execution besides its status: its steps, and the end of a failed job's log."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_mlx.backends.base import LogChunk
from airflow_provider_mlx.backends.sagemaker.client import AwsClient, Missing
from airflow_provider_mlx.backends.sagemaker.logs import GROUPS
from airflow_provider_mlx.backends.sagemaker.logs import line_of as event_line
from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError, first_line

from .steps import StepSeen, Told, line_of, parse_step

PAGE: Final = 100
TAIL_LINES: Final = 20
TAIL_LINE_LENGTH: Final = 500
TAIL_STREAMS: Final = 3
"""Of a failed job with many instances."""


def list_steps(client: AwsClient, execution: str) -> list[StepSeen]:
    """
    All steps that have begun, in the order in which they did.

    :raises BackendUnavailable: no answer.
    """
    found: list[StepSeen] = []
    request: dict[str, Any] = {"PipelineExecutionArn": execution, "MaxResults": PAGE, "SortOrder": "Ascending"}
    while True:
        answer = client.call("list_pipeline_execution_steps", **request)
        found += map(parse_step, answer["PipelineExecutionSteps"])
        if not answer.get("NextToken"):
            return found
        request["NextToken"] = answer["NextToken"]


def new_lines(client: AwsClient, steps: list[StepSeen], cursor: str) -> LogChunk:
    """What the log has not said yet, with the last lines of a job that failed."""
    told, lines = Told(cursor), []
    for step, ending in told.news(steps):
        lines.append(line_of(step, ending=ending))
        if ending and step.status == "Failed":
            lines += tail_of(client, step)
    return LogChunk(tuple(lines), str(told))


def tail_of(client: AwsClient, step: StepSeen) -> list[str]:
    """The last lines of a step's job; none for a step whose job has no log, one that says why it cannot be read."""
    if step.kind is None:
        return []
    try:
        lines = _tail(client, GROUPS[step.kind], step.job)
    except BackendUnavailable:
        raise
    except MlxError as error:
        return [f"  the log of {step.job} cannot be read: {first_line(error)}"]
    return [f"  | {_plain(line)}" for line in lines]


def _plain(line: str) -> str:
    """A line that goes into an error: what a job prints may be long, and may hold commands for terminals."""
    text = "".join(one for one in line if one.isprintable() or one == "\t")
    return text if len(text) <= TAIL_LINE_LENGTH else f"{text[:TAIL_LINE_LENGTH]} …"


def _tail(client: AwsClient, group: str, job: str) -> list[str]:
    found: list[tuple[int, str]] = []
    try:
        streams = client.call(
            "describe_log_streams", service="logs", logGroupName=group, logStreamNamePrefix=f"{job}/",
            limit=TAIL_STREAMS,
        )["logStreams"]  # fmt: skip
        for stream in streams:
            name = stream["logStreamName"]
            events = client.call(
                "get_log_events", service="logs", logGroupName=group, logStreamName=name, startFromHead=False,
                limit=TAIL_LINES,
            )["events"]  # fmt: skip
            shown = name.partition("/")[2] if len(streams) > 1 else ""
            found += [(int(event["timestamp"]), event_line(event, shown)) for event in events]
    except Missing:  # the job has printed nothing
        return []
    return [line for _, line in sorted(found, key=lambda one: one[0])][-TAIL_LINES:]
