"""
An object's bytes over a line that may break: go on where it broke, ask again for a while, never mix two objects.

The job's store and Airflow's use it alike; the clients below them say what is an answer and what is none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Protocol  # noqa: UP035  (Python 3.9)

READ_PATIENCE_SECONDS = 120.0
"""Before the user's code has run nothing is lost but time, and a job that was set up wrongly should say so soon."""
WRITE_PATIENCE_SECONDS = 900.0
"""What a step has computed is worth waiting for."""

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 4
MAX_PARTS = 10_000
"""Of one multipart upload. Source: Amazon S3 user guide, multipart upload limits; a part has at least 5 MiB."""

_LONGEST_PAUSE_SECONDS = 30.0


class NoAnswer(Exception):
    """The store gave no answer, or its answer broke off: the same request may succeed later."""


class ObjectChanged(Exception):
    """The object is not the one of which the first bytes were read."""


class Sink(Protocol):
    """A binary file that only grows, or what passes bytes on to one."""

    def write(self, data: Any, /) -> Any:
        """Take all of any bytes-like object."""


@dataclass(frozen=True)
class Part:
    """
    An object, from a byte to its end.

    :param start: the byte with which the store's answer begins.
    :param size: bytes of the whole object.
    :param version: the store's ETag or generation; other content has another one. Empty where a store has none.
    :param chunks: the bytes; the iteration raises :class:`NoAnswer` where the line breaks.
    """

    start: int
    size: int
    version: str
    chunks: Iterable[Any]


class Patience:
    """
    How long to ask again.

    :param seconds: without any progress.
    :param what: the subject of what is printed while waiting.
    """

    def __init__(self, seconds: float, what: str = "", *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._seconds = seconds
        self._what = what
        self._sleep = sleep
        self._failures = 0
        self._until = 0.0

    def progressed(self) -> None:
        """Something arrived: the time starts anew with the next failure."""
        self._failures = 0

    def wait(self, error: NoAnswer) -> None:
        """
        Pause before the next try: half a second, then twice as long each time, up to half a minute.

        :raises NoAnswer: the error itself, when the time is over.
        """
        import random

        now = time.monotonic()
        if not self._failures:
            self._until = now + self._seconds
        left = self._until - now
        if left <= 0:
            raise error
        pause = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures += 1
        if self._what:
            print(f"mlx: {self._what}: {error}; asking again for {left:.0f} s at most", flush=True)
        self._sleep(min(pause, left))


def read_resuming(open_from: Callable[[int, str], Part], sink: Sink, patience: Patience) -> None:
    """
    Write a whole object into a file that only grows.

    :param open_from: asks for the object from a byte on, bound to a version (empty the first time).
    :raises ObjectChanged: it was replaced meanwhile, or the store has no versions to tell.
    :raises NoAnswer: nothing arrived for as long as the patience lasts.
    """
    done, version = 0, ""
    while True:
        try:
            part = open_from(done, version)
            if part.start != done:
                raise ObjectChanged(
                    f"its store was asked for the bytes from {done} on and sent those from {part.start}"
                )
            version = part.version
            for chunk in part.chunks:
                sink.write(chunk)
                done += len(chunk)
                patience.progressed()
            if done >= part.size:
                return
            raise NoAnswer(f"the connection ended after {done} of {part.size} bytes")
        except NoAnswer as error:
            if done and not version:
                raise ObjectChanged("its store has no versions, so that a broken read cannot go on") from error
            patience.wait(error)


def part_bytes(size: int) -> int:
    """The size of the parts in which an object goes up: 8 MiB, and more where ten thousand of them would not do."""
    return max(PART_BYTES, -(-size // MAX_PARTS))


def parts_at_once(size: int) -> int:
    """How many parts are sent at once: what is in memory stays at 32 MiB, or one part."""
    return max(1, min(PARTS_AT_ONCE, PARTS_AT_ONCE * PART_BYTES // part_bytes(size)))


def one_line(error: BaseException) -> str:
    """A client's own words, short and without secrets: some print the whole request behind the first line."""
    from .uris import without_credentials

    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return without_credentials(text)[:300]
