"""
Events that could not be sent, kept in the artifact root, where a worker's disk does not outlive it.

::

    <root>/lineage-spool/<deployment>/<run's id>/20260102T030405123456-FAIL-a1b2c3d4.json

An event is an object of its own, since objects are not appended to. Its name says whose it is, when and what, so that a
replay puts all of them in order by a listing, and two of them that send the same are harmless.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, Protocol

from airflow_provider_mlx.exceptions import MlxError, first_line
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.identity import path_segment

from .replaying import TYPES, Kept, Taken, stamp

SPOOL_FOLDER: Final = "lineage-spool"
"""In an artifact root, and in ``[mlx] local_root``."""

EVENT_BYTES: Final = 1024 * 1024
"""Of one event; what we make is a quarter of it at most."""

MAX_EVENTS: Final = 10_000
"""That one process keeps in a root: what is beyond is for its own disk."""

_NAME: Final = re.compile(r"(?P<run>[0-9a-f-]{36})/(?P<time>\d{8}T\d{12})-(?P<type>[A-Z]+)-[0-9a-f]{8}\.json")


class Objects(Protocol):
    """What is asked of an artifact root, as of :class:`~airflow_provider_mlx.artifacts.store.ObjectStore`."""

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object unless there is one; whether this call wrote it."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes | None:
        """An object's bytes; ``None`` if there is no such object."""

    def list(self, uri: str) -> Iterable[Any]:
        """Every object under a prefix, each with its ``uri``."""

    def delete(self, uri: str) -> bool:
        """Remove an object."""


class RootSpool:
    """
    What one deployment keeps in an artifact root.

    :param root: its URI.
    """

    def __init__(self, store: Objects, root: str, deployment: str) -> None:
        self.uri = join(root, SPOOL_FOLDER, path_segment(deployment))
        self._store = store
        self._kept = 0

    def keep(self, event: str) -> None:
        """
        Create one event's object.

        :param event: JSON.
        :raises ValueError: it is no event, too large, or one too many.
        :raises MlxError: the store gives no answer, or refuses.
        """
        data = event.encode()
        if len(data) > EVENT_BYTES or self._kept >= MAX_EVENTS:
            raise ValueError("the artifact root takes no more of this process's events")
        told = json.loads(event)
        digest = hashlib.sha256(data).hexdigest()[:8]
        name = f"{told['run']['runId']}/{stamp(told['eventTime'])}-{told['eventType']}-{digest}.json"
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"an event of the run {told['run']['runId']!r} has no name in the artifact root")
        self._store.create(join(self.uri, name), data)
        self._kept += 1

    @contextlib.contextmanager
    def taken(self) -> Iterator[Taken]:
        """What is there, by a listing alone; a root that gives no answer holds nothing this time."""
        events: list[Kept] = []
        problem = ""
        try:
            for found in self._store.list(self.uri):
                match = _NAME.search(found.uri)
                if match is not None and found.uri.endswith(match[0]) and match["type"] in TYPES:
                    read, sent = partial(self._read, found.uri), partial(self._delete, found.uri)
                    events.append(Kept(match["run"], match["time"], match["type"], read, sent))
        except MlxError as error:
            problem = f"{self.uri} cannot be read: {first_line(error)}"
        yield Taken(events, problem=problem)

    def _delete(self, uri: str) -> None:
        self._store.delete(uri)

    def _read(self, uri: str) -> dict[str, Any] | None:
        data = self._store.read(uri, limit=EVENT_BYTES)
        event: dict[str, Any] | None = None if data is None else json.loads(data)
        return event
