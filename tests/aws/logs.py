"""
CloudWatch Logs: groups, streams and events in memory.

moto's own is not used: its forward token stands for the last event of a page that depends on the time range, its filter
knows no ``logStreamNamePrefix``, and its ``searchedLogStreams`` is what AWS stopped to send in 2020.
Pages cited here are of https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/.
"""

from __future__ import annotations

import bisect
import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .errors import AwsError

EVENT_BYTES: Final = 256 * 1024
"""
The longest event that a container's log driver makes of a line (the
API itself takes 1 MB today, see API_InputLogEvent): longer lines are split.
"""


@dataclass(frozen=True, order=True)
class Event:
    """One event; ordered as FilterLogEvents orders: by time, then by arrival."""

    timestamp: int
    number: int
    message: str = field(compare=False)
    ingested: int = field(compare=False)
    stream: str = field(compare=False)


@dataclass
class Stream:
    """The events of one emitter, in order."""

    name: str
    created: int
    events: list[Event] = field(default_factory=list)


class LogStore:
    """
    Every group and stream.

    :param delay_seconds: between the arrival of an event and its being read; CloudWatch promises none.
    """

    def __init__(self, delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._groups: dict[str, dict[str, Stream]] = {}
        self._created: dict[str, int] = {}

    # --- writing -----------------------------------------------------------------------------------------------------

    def create_group(self, group: str) -> None:
        """
        Create a group.

        :raises AwsError: there is one.
        """
        with self._lock:
            if group in self._groups:
                raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
            self._groups[group], self._created[group] = {}, _now()

    def create_stream(self, group: str, stream: str) -> None:
        """
        Create a stream in a group.

        :raises AwsError: there is one, or there is no group.
        """
        with self._lock:
            streams = self._streams(group)
            if stream in streams:
                raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
            streams[stream] = Stream(stream, _now())

    def delete_group(self, group: str) -> None:
        """Forget a group with its streams."""
        with self._lock:
            self._streams(group)
            del self._groups[group], self._created[group]

    def delete_stream(self, group: str, stream: str) -> None:
        """Forget a stream with its events."""
        with self._lock:
            self._stream(group, stream)
            del self._groups[group][stream]

    def put(self, group: str, stream: str, events: Iterable[tuple[int, str]]) -> None:
        """Add events (milliseconds, message) to a stream."""
        with self._lock:
            self._add(self._stream(group, stream), events)

    def emit(self, group: str, stream: str, events: Iterable[tuple[int, str]]) -> None:
        """Add events as a log driver does: group and stream are made when the first comes."""
        with self._lock:
            if group not in self._groups:
                self._groups[group], self._created[group] = {}, _now()
            found = self._groups[group].setdefault(stream, Stream(stream, _now()))
            self._add(found, events)

    def _add(self, stream: Stream, events: Iterable[tuple[int, str]]) -> None:
        now = _now()
        for timestamp, message in events:
            event = Event(timestamp, next(self._numbers), message, now, stream.name)
            if stream.events and event < stream.events[-1]:
                bisect.insort(stream.events, event)
            else:
                stream.events.append(event)

    # --- reading -----------------------------------------------------------------------------------------------------

    def groups(self, prefix: str = "") -> list[tuple[str, int]]:
        """Names and times of creation."""
        with self._lock:
            return sorted((name, created) for name, created in self._created.items() if name.startswith(prefix))

    def streams(self, group: str, prefix: str = "") -> list[Stream]:
        """Streams whose first event can be read, by name."""
        with self._lock:
            found = [stream for name, stream in self._streams(group).items() if name.startswith(prefix)]
            return sorted((s for s in found if self._readable(s) or not s.events), key=lambda stream: stream.name)

    def events(self, group: str, stream: str) -> list[Event]:
        """The events of a stream that can be read."""
        with self._lock:
            return self._readable(self._stream(group, stream))

    def events_of(self, streams: Iterable[Stream]) -> list[Event]:
        """The events of several streams that can be read, in order."""
        with self._lock:
            return sorted(event for stream in streams for event in self._readable(stream))

    def _readable(self, stream: Stream) -> list[Event]:
        if not self.delay_seconds:
            return stream.events.copy()
        newest = _now() - self.delay_seconds * 1000
        return [event for event in stream.events if event.ingested <= newest]

    def _streams(self, group: str) -> dict[str, Stream]:
        if group not in self._groups:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return self._groups[group]

    def _stream(self, group: str, stream: str) -> Stream:
        streams = self._streams(group)
        if stream not in streams:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return streams[stream]


def _now() -> int:
    return int(time.time() * 1000)
