"""Our docstrings as Markdown."""

from __future__ import annotations

import inspect
import re


def fields_of(doc: str) -> dict[str, str]:
    """The ``:param name: meaning`` lines of a docstring."""
    found: dict[str, str] = {}
    for match in re.finditer(
        r"^:param (\w+): (.*?)(?=^:|^\S|\n\n|\Z)", inspect.cleandoc(doc), re.DOTALL | re.MULTILINE
    ):
        found[match[1]] = text(" ".join(match[2].split()))
    return found


def text(rst: str) -> str:
    """reStructuredText of our docstrings as Markdown that may stand in a table."""
    roles = re.sub(r":\w+:`~?([\w.]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", rst)
    return cell(roles.replace("``", "`"))


def cell(words: str) -> str:
    """Words that may stand in a cell of a table."""
    return " ".join(words.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
