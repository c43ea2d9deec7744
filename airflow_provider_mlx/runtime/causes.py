"""
Whose error counts, where several processes of one job have failed: each writes its own, and the reader chooses.

::

    errors/20261125T193048.593Z-rank3-own.json     when, who, and whether it follows from another's
    errors/20261125T193048.601Z-rank0-peer.json
    errors/20261125T193049.120Z-rank2-stop.json

When one rank raises, the others lose their connection to it a moment later, and then they are told to stop. The first
rank's error is the one to show, and the clocks of two nodes differ by more than that moment: so what plainly follows
from another rank's end says so, in the name, and one listing is enough to choose. Standard library only; Airflow's side
reads by it too.
"""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple  # noqa: UP035  (Python 3.9)

from .protocol import FOLLOWS

_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)-([a-z]+\d+)-(own|peer|stop)\.json")

# What gloo and torch's rendezvous say of a lost connection. Their exceptions are plain RuntimeErrors, so that the text
# must tell; seen with torch 2.15, and the words of gloo are the same since 1.0. NCCL's have a type of their own.
_GLOO = re.compile(r"gloo/.*(closed by peer|reset by peer|[Bb]roken pipe|[Tt]imed out|refused)", re.DOTALL)
_TORCH_TYPES = (
    "DistBackendError",  # NCCL: a remote process has exited, or its answer is late
    "DistNetworkError",  # the store at MASTER_ADDR does not answer any more
    "DistStoreError",  # the same, of a rank that waited for another one there
)


class Named(NamedTuple):
    """An error as its object's name tells it; ordered by time."""

    at: str
    writer: str
    follows: str

    def __str__(self) -> str:
        return f"{self.at}-{self.writer}-{self.follows}.json"


def error_name(failed_at: str, writer: str, follows: str) -> str:
    """
    The name of an error's object.

    :param failed_at: ISO 8601 in UTC, with milliseconds.
    :param writer: ``rank<N>``, or ``node<N>`` for the supervisor of a node.
    """
    at = re.sub(r"[-:]", "", failed_at.partition("+")[0])
    return str(Named(f"{at}Z", writer, follows))


def first_cause(names: Iterable[str]) -> str | None:
    """
    The name of the error that the others follow from; None where there is no error.

    Of each writer its latest counts: a job that was preempted starts again and writes anew. Of these, one that follows
    from nothing comes before one that follows from another's end, and then the earlier one.
    """
    latest: dict[str, Named] = {}
    for error in sorted(Named(*found.groups()) for name in names if (found := _NAME.fullmatch(name))):
        latest[error.writer] = error
    if not latest:
        return None
    return str(min(latest.values(), key=lambda error: (FOLLOWS.index(error.follows), error)))


def has_lost_a_peer(error: BaseException | None) -> bool:
    """Whether an exception, or one that it was raised from or after, is what torch raises when another rank is gone."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        if kind.__module__.partition(".")[0] == "torch" and kind.__name__ in _TORCH_TYPES:
            return True
        if isinstance(error, RuntimeError) and _GLOO.search(str(error)):
            return True
        error = error.__cause__ if error.__cause__ is not None else error.__context__
    return False
