"""
The log of a job in CloudWatch: a stream per instance, whose events are the lines.

A job that starts again, as on spot instances, has a further stream. A cursor says of every stream the time stamp up to
which it was read and how many events of that moment were; so it is good for ever, and stays so when the service's own
tokens have expired.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from airflow_provider_mlx.backends.base import LogChunk
from airflow_provider_mlx.runtime.lines import MARK

from .client import AwsClient, Missing
from .settings import Kind

GROUPS: Final[Mapping[Kind, str]] = {
    "training": "/aws/sagemaker/TrainingJobs",
    "processing": "/aws/sagemaker/ProcessingJobs",
}
"""Source: docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html."""
MAX_STREAMS: Final = 50
PAGE_EVENTS: Final = 10_000
STREAMS_SECONDS: Final = 15.0
"""So often it is looked whether a job has a further stream."""

Event = Mapping[str, Any]


class Position(NamedTuple):
    """
    How far a stream was read.

    :param moment: the last event's time stamp, in milliseconds.
    :param seen: how many events of that moment were read.
    """

    moment: int = 0
    seen: int = 0


class Cursor:
    """How far the streams of a job were read, by the stream's name without the job's."""

    def __init__(self, text: str = "") -> None:
        read: Mapping[str, list[int]] = json.loads(text) if text else {}
        self._at = {stream: Position(*where) for stream, where in read.items()}

    def __str__(self) -> str:
        return json.dumps(self._at, sort_keys=True) if self._at else ""

    def at(self, stream: str) -> Position:
        """The place in a stream."""
        return self._at.get(stream, Position())

    def take(self, stream: str, events: Iterable[Event]) -> list[Event]:
        """Those of a stream's events, in their order from its place or before it, that are new; and go behind them."""
        moment, before = self.at(stream)
        fresh, seen = [], before
        for event in events:
            stamp = int(event["timestamp"])
            if stamp < moment:
                continue
            if stamp == moment and seen > 0:
                seen -= 1
                continue
            fresh.append(event)
        if fresh:
            last = int(fresh[-1]["timestamp"])
            further = sum(1 for event in fresh if event["timestamp"] == last)
            self._at[stream] = Position(last, further + (before if last == moment else 0))
        return fresh


class JobLogs:
    """Reads the streams of one job after another."""

    def __init__(self, client: AwsClient, kind: Kind, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._group = GROUPS[kind]
        self._now = now
        self._streams: dict[str, tuple[list[str], float]] = {}

    def read(self, name: str, cursor: str = "", *, instances: int = 1) -> LogChunk:
        """
        The next lines of every stream; of several instances, each line says which.

        :param name: SageMaker's name of the job.
        :param instances: how many the job has: until there are so many streams, they are looked for.
        """
        at, found = Cursor(cursor), []
        for stream in self._streams_of(name, instances):
            found += [(event, stream) for event in self._next(f"{name}/{stream}", stream, at)]
        found.sort(key=lambda one: one[0]["timestamp"])
        lines = tuple(line_of(event, stream if instances > 1 else "") for event, stream in found)
        return LogChunk(lines, str(at) if lines else cursor)

    def forget(self, name: str) -> None:
        """A job that is over is not asked for again."""
        self._streams.pop(name, None)

    def _streams_of(self, name: str, instances: int) -> list[str]:
        known, asked_at = self._streams.get(name, ([], 0.0))
        if len(known) < instances or self._now() - asked_at > STREAMS_SECONDS:
            try:
                answer = self._client.call(
                    "describe_log_streams", service="logs", logGroupName=self._group,
                    logStreamNamePrefix=f"{name}/", limit=MAX_STREAMS,
                )  # fmt: skip
            except Missing:  # the group is made with the account's first line
                return []
            known = sorted(stream["logStreamName"].partition("/")[2] for stream in answer["logStreams"])
            self._streams[name] = known, self._now()
        return known

    def _next(self, path: str, stream: str, at: Cursor) -> list[Event]:
        """The next page that has anything new; an empty one is no end of a stream, a token that stays is."""
        moment, token = at.at(stream).moment, ""
        seen: list[Event] = []  # of one moment more pages than one
        while True:
            answer = self._page(path, moment, token)
            seen += answer.get("events", [])
            fresh = at.take(stream, seen)
            if fresh or answer["nextForwardToken"] == token:
                return fresh
            token = answer["nextForwardToken"]

    def _page(self, path: str, moment: int, token: str) -> dict[str, Any]:
        further: dict[str, Any] = {"nextToken": token} if token else {}
        try:
            return self._client.call(
                "get_log_events", service="logs", logGroupName=self._group, logStreamName=path,
                startFromHead=True, startTime=moment, limit=PAGE_EVENTS, **further,
            )  # fmt: skip
        except Missing:
            return {"events": [], "nextForwardToken": token}


def line_of(event: Event, stream: str) -> str:
    """An event as a line; of several instances with the one that wrote it, but for the runtime's own lines."""
    message = str(event["message"])
    return message if not stream or message.startswith(MARK) else f"[{host_of(stream)}] {message}"


def host_of(stream: str) -> str:
    """``algo-1`` of ``algo-1-1700000000``."""
    return stream.rpartition("-")[0] or stream
