"""Tables of the words a backend says a failure with: a pattern, a class of ``exceptions``, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    One kind of failure.

    :param pattern: found anywhere in the message, whatever the case.
    :param failure: the name of a class of ``exceptions``; ``None``: the step's own failure.
    :param advice: what to do; empty for what the failure's class says.
    """

    pattern: re.Pattern[str]
    failure: str | None
    advice: str = ""


def row(pattern: str, failure: str | None, advice: str = "") -> Row:
    """A row of a table, its pattern compiled."""
    return Row(re.compile(pattern, re.IGNORECASE), failure, advice)


def reason_and_failure(rows: Iterable[Row], message: str) -> tuple[str, str | None]:
    """The message with the advice of the first row that is found in it, and that row's failure."""
    for found in rows:
        if found.pattern.search(message):
            return (f"{message} → {found.advice}" if found.advice else message), found.failure
    return message, None
