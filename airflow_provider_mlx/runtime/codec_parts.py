"""What the modules of codecs share: damage said in one way, and words about values that stay short."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence  # noqa: UP035  (Python 3.9)

from .refusals import ArtifactError

MOST_LINES = 12
"""Of a description in the task's log."""
LONGEST_LINE = 160
MOST_NAMES = 12


@contextmanager
def reading(path: Path, what: str, *errors: type[BaseException]) -> Iterator[None]:
    """
    Say of a file what is wrong with it.

    :param errors: what the library raises for a damaged file.
    :raises ArtifactError: one of them was raised.
    """
    try:
        yield
    except errors as error:
        first = cut(str(error).strip().partition("\n")[0])
        raise ArtifactError(f"the {what} of {path.name} cannot be read: {type(error).__name__}: {first}") from error


def at_least(package: Any, version: tuple[int, ...], why: str) -> None:
    """Refuse a release of a package that cannot be trusted with somebody else's file."""
    import re

    found = tuple(int(part) for part in re.findall(r"\d+", package.__version__)[: len(version)])
    if found < version:
        wanted = ".".join(map(str, version))
        raise ArtifactError(
            f"{package.__name__} {package.__version__} {why}, and nothing was loaded",
            f"use {package.__name__} {wanted} or newer in the image, or add '{package.__name__}>={wanted}' to "
            "requirements=",
        )


def cut(text: str, longest: int = LONGEST_LINE) -> str:
    """One line of bounded length."""
    line = text.replace("\r", "").replace("\n", "⏎")
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def glimpse(value: Any) -> str:
    """A value of plain Python as one line: its first members, two levels deep, however many it has."""
    import reprlib

    shown = reprlib.Repr()
    shown.maxlevel, shown.maxdict, shown.maxlist, shown.maxtuple, shown.maxstring = 2, MOST_NAMES, 6, 6, 40
    if isinstance(value, dict) and len(value) > MOST_NAMES:
        value = dict(itertools.islice(value.items(), MOST_NAMES + 1))  # reprlib sorts all keys
    return cut(shown.repr(value))


def first_lines(text: str, most: int = MOST_LINES) -> list[str]:
    """The first lines of a text, each of bounded length, and how much more there is."""
    lines = text[: most * LONGEST_LINE].splitlines()
    shown = [cut(line) for line in lines[:most]]
    return [*shown, f"… {len(text)} characters"] if len(lines) > most or len(text) > most * LONGEST_LINE else shown


def named(items: Sequence[str] | Iterable[str], most: int = MOST_NAMES) -> str:
    """The first of many names, and how many more there are."""
    every = list(items)
    return cut(", ".join(every[:most])) + (f", and {len(every) - most} more" if len(every) > most else "")


def count(number: int, noun: str) -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
