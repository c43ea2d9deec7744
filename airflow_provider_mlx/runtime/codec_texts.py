"""Codecs of our own types for what a person should see: Markdown, HTML, tables, and metrics over time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from .codec import HashingWriter
from .codec_files import load_json, load_text, save_text
from .codec_parts import count, first_lines, glimpse, named, reading
from .codecs import plain
from .refusals import ArtifactError
from .shown import Html, Markdown, Series, Table
from .wire import encode

_COPY_BYTES = 1024 * 1024
_POINTS_LOOKED_AT = 1000


def save_markdown(value: Markdown, sink: HashingWriter) -> None:
    """UTF-8."""
    save_text(value, sink)


def load_markdown(path: Path, type_name: str) -> Markdown:
    """UTF-8."""
    return Markdown(load_text(path, type_name))


def describe_markdown(value: Markdown) -> list[str]:
    """Its first lines."""
    return first_lines(value)


def save_html(value: Html, sink: HashingWriter) -> None:
    """UTF-8."""
    save_text(value, sink)


def load_html(path: Path, type_name: str) -> Html:
    """UTF-8."""
    return Html(load_text(path, type_name))


def describe_html(value: Html) -> list[str]:
    """How long it is: its text is for a browser."""
    return [count(len(value), "character") + " of HTML"]


def save_table(value: Table, sink: HashingWriter) -> None:
    """
    Wire JSON, a list of objects.

    :raises ValueError: a row is no dict; ``NotPlain``: a cell is not plain JSON.
    """
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise ValueError(f"row {number} of the table is a {type(row).__name__}: each row is a dict by column")
    sink.write(json.dumps(encode(plain(value)), allow_nan=False, separators=(",", ":")).encode())


def load_table(path: Path, type_name: str) -> Table:
    """Its rows."""
    rows = load_json(path, type_name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ArtifactError(f"{path.name} holds no table: a list of objects was expected")
    return Table(rows)


def describe_table(value: Table) -> list[str]:
    """How many rows, which columns, and the first rows."""
    columns = list(dict.fromkeys(column for row in value[:_POINTS_LOOKED_AT] for column in row))
    return [f"{count(len(value), 'row')}: {named(columns)}", *(glimpse(row) for row in value[:3])]


def save_series(value: Series, sink: HashingWriter) -> None:
    """The file's lines as they are; the last one only if it is whole, since a writer may have been killed in it."""
    if not value.path.exists():
        return
    kept = b""
    with value.path.open("rb") as reader:
        while chunk := reader.read(_COPY_BYTES):
            whole, end, kept = (kept + chunk).rpartition(b"\n")
            sink.write(whole + end)


def load_series(path: Path, type_name: str) -> list[dict[str, Any]]:
    """The points, read one by one."""
    with reading(path, "series", ValueError):
        return list(Series(path))


def describe_series(value: Series) -> list[str]:
    """The names of its first points, and how large it is."""
    names = dict.fromkeys(str(point.get("name")) for point in itertools.islice(value, _POINTS_LOOKED_AT))
    size = value.path.stat().st_size if value.path.exists() else 0
    return [f"{count(size, 'byte')} of points: {named(names)}"]
