"""A job's log: that of the main container of its first rank, read in pieces."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_mlx.backends.base import LogChunk
from airflow_provider_mlx.exceptions import BackendUnavailable

from .client import KubernetesClient, Lines, Refused
from .kinds import JobKind, main_container, rank_of
from .logs import after_cursor, since_time
from .paths import collection_path
from .reading import at, maps, text

PIECE_BYTES: Final = 2 * 1024 * 1024
LARGEST_PIECE_BYTES: Final = 512 * 1024 * 1024


class PodLog:
    """Reads the logs of jobs of one kind."""

    def __init__(self, client: KubernetesClient, kind: JobKind) -> None:
        self._client = client
        self._kind = kind
        self._places: dict[str, tuple[str, str]] = {}
        self._followed: dict[str, Lines] = {}

    def read(self, namespace: str, job: str, cursor: str) -> LogChunk:
        """
        The next lines since a cursor.

        :raises BackendUnavailable: the log cannot be read now.
        """
        place = self._place(namespace, job)
        if place is None:
            return LogChunk((), cursor)
        pod, container = place
        try:
            return self._read(pod, _question(container, cursor), cursor)
        except Refused as refused:
            self._places.pop(job, None)  # the pod is gone, or has not started and may be replaced
            if refused.code not in (400, 404):
                raise BackendUnavailable(f"the log of {pod} cannot be read: {refused.message}") from None
            return LogChunk((), cursor)

    def follow(self, namespace: str, job: str, cursor: str, *, quiet_seconds: float) -> Lines | None:
        """
        The lines from a little before a cursor on, until the container ends; ``None``: there is no pod yet.

        :param quiet_seconds: a connection without a line for so long is given up.
        """
        place = self._place(namespace, job)
        if place is None:
            return None
        pod, container = place
        lines = self._client.lines(
            f"{pod}/log", read_seconds=quiet_seconds, follow="true", **_question(container, cursor)
        )
        self._followed[job] = lines
        return lines

    def end(self, job: str) -> None:
        """Have whoever follows a job's log come to an end."""
        if (lines := self._followed.pop(job, None)) is not None:
            lines.end()

    def is_over(self, namespace: str, job: str) -> bool:
        """Whether nothing will be added to a job's log: its container has ended, or is gone."""
        place = self._place(namespace, job)
        return place is None or self._has_ended(*place)

    def _read(self, pod: str, asked: dict[str, Any], cursor: str) -> LogChunk:
        """A larger piece where one holds nothing new: a cursor's second may have more lines than a piece."""
        size, over = PIECE_BYTES, False
        while True:
            answer = self._client.content(f"{pod}/log", limitBytes=size, **asked)
            cut = len(answer) >= size
            chunk = after_cursor(answer, cursor, over=over and not cut)
            if chunk.lines or size >= LARGEST_PIECE_BYTES:
                return chunk
            if cut:
                size *= 4
            elif over or not answer or answer.endswith(b"\n") or not self._has_ended(pod, asked["container"]):
                return chunk
            else:
                over = True  # the last line has no end; it is read once more, now that nothing can follow it

    def _has_ended(self, pod: str, container: str) -> bool:
        found = self._client.get(pod)
        statuses = maps(found, "status.containerStatuses")
        return any(text(one, "name") == container and at(one, "state.terminated") is not None for one in statuses)

    def _place(self, namespace: str, job: str) -> tuple[str, str] | None:
        """Path and main container of the first rank's pod; remembered, since it is asked for at every look."""
        if not self._kind.pods_label:
            return None
        if job not in self._places:
            there = collection_path("v1", "pods", namespace)
            answer = self._client.get(there, labelSelector=f"{self._kind.pods_label}={job}")
            pods = list((answer or {}).get("items") or ())
            if not pods:
                return None
            first = min(pods, key=lambda pod: rank_of(self._kind, pod))
            self._places[job] = f"{there}/{first['metadata']['name']}", main_container(self._kind, first)
        return self._places[job]


def _question(container: str, cursor: str) -> dict[str, str]:
    since = since_time(cursor)
    return {"container": container, "timestamps": "true"} | ({"sinceTime": since} if since else {})
