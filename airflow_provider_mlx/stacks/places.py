"""Where something stands in a stack file, and problems that show it: file, line, column, the line, a caret."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1, section 4.2: what counts as a line
_WIDEST: Final = 100
_BEFORE_CARET: Final = 40


class Source:
    """
    The text of one file, line by line, for error messages only.

    :param name: the file's name as messages show it.
    :param text: the whole text.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = _LINE_BREAK.split(text)
        self._secrets: set[str] = set()

    def scrub(self, text: str) -> str:
        """A sentence about the file, without the secrets that were found in it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def hide(self, place: Place, secret: str) -> None:
        """Overwrite the secret at a place with asterisks, to the end of a value of several lines."""
        # a message shows at most the first 40 characters of a value; one or two characters are in any sentence
        self._secrets.update(part for part in (secret, secret[:60], secret[:40]) if len(part) > 2)
        for number in range(place.line, min(place.last_line, len(self.lines)) + 1):
            line = self.lines[number - 1]
            start = place.column - 1 if number == place.line else len(line) - len(line.lstrip())
            end = place.last_column - 1 if number == place.last_line else len(line)
            self.lines[number - 1] = line[:start] + "*" * (end - start) + line[end:]


@dataclass(frozen=True)
class Place:
    """
    A stretch of a file; lines and columns count from 1, ``last_column`` is one behind the end.

    Its text is the place as editors understand it: ``file:line:column``.
    """

    source: Source = field(repr=False)
    line: int
    column: int
    last_line: int
    last_column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def picture(self) -> str:
        """The source line and, under it, carets; empty where there is nothing to show."""
        line = self.source.lines[self.line - 1] if self.line <= len(self.source.lines) else ""
        if not line.strip():
            return ""
        start = min(self.column - 1, len(line))
        end = min(self.last_column - 1, len(line)) if self.last_line == self.line else len(line)
        left = len(line) - len(line.lstrip())
        lead = ""
        if len(line) - left > _WIDEST:
            cut = max(left, start - _BEFORE_CARET)
            left, lead = cut, "…" if cut > left else ""
        right = min(len(line), left + _WIDEST)
        end = min(end, right)
        shown = _printable(line[left:right]) + ("…" if right < len(line) else "")
        before = lead + _printable(line[left:start])
        return f"      {lead}{shown}\n      {' ' * _width(before)}{'^' * max(1, _width(_printable(line[start:end])))}"


@dataclass(frozen=True)
class PlacedProblem(Problem):
    """A problem that knows its place; its text ends with the source line and carets."""

    place: Place | None = None

    def __str__(self) -> str:
        picture = self.place.picture() if self.place else ""
        return f"{super().__str__()}\n{picture}" if picture else super().__str__()


def problem_at(place: Place, what: str, remedy: str) -> PlacedProblem:
    """A problem at a place of a file."""
    return PlacedProblem(what=what, remedy=remedy, field=str(place), place=place)


def nearest(word: str, valid: Iterable[str]) -> str:
    """What to write instead of a word that nobody knows: the nearest valid one, or all of them."""
    words = sorted(valid)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return did_you_mean(close[0])
    return f"use one of {listed(words)}" if words else "remove it"


def did_you_mean(word: str) -> str:
    """The remedy for a misspelt word."""
    return f"did you mean `{word}`?"


def listed(words: Iterable[str]) -> str:
    """Words in a sentence: ```a`, `b` ```; ``none`` when there are none."""
    return ", ".join(f"`{word}`" for word in words) or "none"


def refuse(problems: Iterable[Problem], names: Iterable[str]) -> InvalidStep:
    """
    All problems of some files as one error, in the order of the files and lines.

    What is wrong in a stack is also wrong in those that extend it, and is said once: per place and remedy.

    :param problems: at least one.
    :param names: the files as messages show them.
    """
    order = {name: number for number, name in enumerate(names)}
    first: dict[object, Problem] = {}
    for found in problems:
        problem, place = found, getattr(found, "place", None)
        if place is not None:
            problem = replace(found, what=place.source.scrub(found.what))
        first.setdefault((_position(place, order), problem.remedy) if place else problem, problem)
    ordered = sorted(first.values(), key=lambda problem: _position(getattr(problem, "place", None), order))
    count = f"{len(ordered)} problems" if len(ordered) > 1 else "1 problem"
    return InvalidStep(f"{count} in {' and '.join(order)}", ordered)


def _position(place: Place | None, order: dict[str, int]) -> tuple[int, int, int]:
    return (order.get(place.source.name, len(order)), place.line, place.column) if place else (-1, 0, 0)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _width(text: str) -> int:
    """The columns that a terminal needs: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
