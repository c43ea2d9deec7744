"""The standard streams of a step's process and of its supervisor."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .member import Member


def unbuffered(descriptor: int) -> io.TextIOWrapper:
    """
    A standard stream as ``python -u`` has it, without a buffered layer.

    A signal handler of the user's that prints while the step prints would meet that layer's "reentrant call".
    """
    return _text(io.FileIO(descriptor, "w", closefd=False))


def stream_of(member: Member, descriptor: int) -> io.TextIOWrapper:
    """The same; where a node has several ranks, ``[rank N]`` stands before each line that Python code writes."""
    if not member.several or member.rank is None:
        return unbuffered(descriptor)
    from .rank_lines import RankLines

    return _text(RankLines(descriptor, member.rank))


def _text(raw: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
