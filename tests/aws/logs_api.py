"""The operations of CloudWatch Logs; pages cited are of its API reference (see :mod:`tests.aws.logs`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .errors import AwsError, Unsupported
from .logs import Event, LogStore, Stream

PAGE_BYTES: Final = 1024 * 1024
"""API_GetLogEvents: "Each page returned can contain up to 1 MB of log events or up to 10,000 log events"."""
PAGE_EVENTS: Final = 10_000
EVENT_OVERHEAD: Final = 26
"""API_PutLogEvents: an event counts as its UTF-8 bytes plus 26."""


class LogsApi:
    """Answers by operation name."""

    def __init__(self, store: LogStore, region: str, account: str) -> None:
        self._store = store
        self._arn = f"arn:aws:logs:{region}:{account}:log-group"
        self.operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "DeleteLogGroup": self._delete_group,
            "DeleteLogStream": self._delete_stream,
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
            "PutLogEvents": self._put,
        }

    def _create_group(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._store.create_group(asked["logGroupName"])
        return {}

    def _create_stream(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._store.create_stream(asked["logGroupName"], asked["logStreamName"])
        return {}

    def _delete_group(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._store.delete_group(asked["logGroupName"])
        return {}

    def _delete_stream(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._store.delete_stream(asked["logGroupName"], asked["logStreamName"])
        return {}

    def _put(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        events = [(event["timestamp"], event["message"]) for event in asked["logEvents"]]
        self._store.put(asked["logGroupName"], asked["logStreamName"], events)
        return {}

    def _describe_groups(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._store.groups(asked.get("logGroupNamePrefix", ""))
        page, token = _by_name(found, [name for name, _ in found], asked)
        shown = [{"logGroupName": name, "creationTime": at, "arn": f"{self._arn}:{name}:*"} for name, at in page]
        return _with_token({"logGroups": shown}, token)

    def _describe_streams(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_DescribeLogStreams: by name, or by the last event's time and then without a prefix; 50 at most."""
        group, by_time = _group(asked), asked.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in asked:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        found = self._store.streams(group, asked.get("logStreamNamePrefix", ""))
        if by_time:
            found.sort(key=lambda stream: stream.events[-1].timestamp if stream.events else 0)
        if asked.get("descending"):
            found.reverse()
        page, token = _by_name(found, [stream.name for stream in found], asked)
        return _with_token({"logStreams": [self._shown(group, stream) for stream in page]}, token)

    def _shown(self, group: str, stream: Stream) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "logStreamName": stream.name, "creationTime": stream.created, "storedBytes": 0,
            "arn": f"{self._arn}:{group}:log-stream:{stream.name}",
        }  # fmt: skip
        if stream.events:
            shown |= {
                "firstEventTimestamp": stream.events[0].timestamp,
                "lastEventTimestamp": stream.events[-1].timestamp,
                "lastIngestionTime": stream.events[-1].ingested,
            }
        return shown

    def _get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """
        API_GetLogEvents: a forward token goes on after what was read; "if you have reached the end of the stream, it
        returns the same token you passed in". ``endTime`` itself is not included.
        """
        events = self._store.events(_group(asked), asked["logStreamName"])
        low, high = asked.get("startTime", 0), asked.get("endTime", float("inf"))
        forward, start = _position(asked.get("nextToken"), len(events), from_head=asked.get("startFromHead", False))
        numbers = range(start, len(events)) if forward else range(start - 1, -1, -1)
        taken = _page([number for number in numbers if low <= events[number].timestamp < high], events, asked)
        if not forward:
            taken.reverse()
        # nothing there: what was asked for is what comes back
        first, after = (taken[0], taken[-1] + 1) if taken else (start, start)
        return {
            "events": [
                {"timestamp": e.timestamp, "message": e.message, "ingestionTime": e.ingested}
                for e in (events[number] for number in taken)
            ],
            "nextForwardToken": f"f/{after:056d}/s",
            "nextBackwardToken": f"b/{first:056d}/s",
        }

    def _filter(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """
        API_FilterLogEvents: all streams interleaved, by time and then by arrival; without a token there is no more.
        ``endTime`` itself is included here, unlike in GetLogEvents.
        """
        if "logStreamNames" in asked and "logStreamNamePrefix" in asked:
            raise _invalid("The parameters logStreamNames and logStreamNamePrefix are mutually exclusive")
        if asked.get("filterPattern", "").strip():
            raise Unsupported("FilterLogEvents with a filterPattern")
        names = set(asked.get("logStreamNames", ()))
        streams = self._store.streams(_group(asked), asked.get("logStreamNamePrefix", ""))
        events = self._store.events_of(stream for stream in streams if not names or stream.name in names)
        low, high = asked.get("startTime", 0), asked.get("endTime", float("inf"))
        events = [event for event in events if low <= event.timestamp <= high]
        token, backward = asked.get("nextToken"), not asked.get("startFromHead", True)
        if token:
            backward, events = _after(token, events)
        elif backward:
            events.reverse()
        taken = _page(list(range(len(events))), events, asked)
        shown = [_filtered(events[number]) for number in taken]
        more = len(taken) < len(events)
        last = events[taken[-1]] if taken else None
        next_token = f"{'b' if backward else 'f'}/{last.timestamp}/{last.number}" if more and last else None
        return _with_token({"events": shown, "searchedLogStreams": []}, next_token)


def _filtered(event: Event) -> dict[str, Any]:
    return {
        "logStreamName": event.stream, "timestamp": event.timestamp, "message": event.message,
        "ingestionTime": event.ingested, "eventId": f"{event.timestamp:020d}{event.number:036d}",
    }  # fmt: skip


def _after(token: str, events: list[Event]) -> tuple[bool, list[Event]]:
    """Is a token's direction backward, and what is left in it?"""
    found = re.fullmatch(r"([fb])/(\d+)/(\d+)", token)
    if not found:
        raise _invalid("The specified nextToken is invalid.")
    place = (int(found[2]), int(found[3]))
    if found[1] == "b":
        return True, [event for event in reversed(events) if (event.timestamp, event.number) < place]
    return False, [event for event in events if (event.timestamp, event.number) > place]


def _page(numbers: Sequence[int], events: Sequence[Event], asked: Mapping[str, Any]) -> list[int]:
    """As many as a page may hold: by number and by size."""
    taken: list[int] = []
    size = 0
    for number in numbers[: asked.get("limit", PAGE_EVENTS)]:
        size += len(events[number].message.encode()) + EVENT_OVERHEAD
        if taken and size > PAGE_BYTES:
            break
        taken.append(number)
    return taken


def _position(token: str | None, length: int, *, from_head: bool) -> tuple[bool, int]:
    """Forward or backward, and from where: before this event."""
    if token is None:
        return from_head, 0 if from_head else length
    found = re.fullmatch(r"([fb])/(\d{56})/s", token)
    if not found:
        raise _invalid("The specified nextToken is invalid.")
    if found[1] == "f" and not from_head:  # "you must specify true for startFromHead"
        raise _invalid("A nextForwardToken needs startFromHead.")
    return found[1] == "f", int(found[2])


def _by_name(found: Sequence[Any], names: Sequence[str], asked: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """A page after the name that a token holds."""
    start = 0
    if token := asked.get("nextToken"):
        if token not in names:
            raise _invalid("The specified nextToken is invalid.")
        start = list(names).index(token) + 1
    end = start + asked.get("limit", 50)
    return list(found[start:end]), names[end - 1] if end < len(names) else None


def _group(asked: Mapping[str, Any]) -> str:
    """A group is named by its name or by its name or ARN as identifier, not by both."""
    if ("logGroupName" in asked) == ("logGroupIdentifier" in asked):
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    name: str = asked.get("logGroupName") or asked["logGroupIdentifier"].rpartition("log-group:")[2].removesuffix(":*")
    return name


def _with_token(answer: dict[str, Any], token: str | None) -> dict[str, Any]:
    return {**answer, "nextToken": token} if token else answer


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
