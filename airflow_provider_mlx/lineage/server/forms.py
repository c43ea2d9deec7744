"""
How an output is shown in a browser: a table of codecs, and documents made of what people should read. Pure.

What is made here holds no markup of the step's: all of its text is escaped. A step's own HTML and SVG go out as they
are, since no answer may run anything (:data:`.previews.HEADERS`).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal

from airflow_provider_mlx.runtime.wire import decode

MAX_ROWS: Final = 50
MAX_COLUMNS: Final = 50
MAX_CELL: Final = 300
"""Characters."""
MAX_MARKDOWN: Final = 100_000
"""Characters that are rendered; what is longer is shown as it was written, since the renderer holds the interpreter."""

_DOCUMENT: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<style>
body {{ margin: 12px; font: 14px/1.5 system-ui, sans-serif; color: #1a202c; background: #fff; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid #cbd5e0; padding: 2px 8px; text-align: left; vertical-align: top; }}
th {{ background: #edf2f7; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class Form:
    """
    How outputs of one kind are shown.

    :param media_type: of the answer.
    :param document: makes the answer of an output's bytes; by default it is these.
    """

    kind: Literal["figure", "markdown", "html", "table", "text"]
    media_type: str
    document: Callable[[bytes], str] | None = None

    def content(self, data: bytes) -> bytes:
        """What is answered; text that is not what it should be is shown as it stands."""
        if self.document is None:
            return data
        try:
            body = self.document(data)
        except (ValueError, TypeError, AttributeError, RecursionError, csv.Error):
            body = _as_written(_text(data))
        return _DOCUMENT.format(body=body).encode("utf-8", "replace")


def form_of(codec: str, uri: str) -> Form | None:
    """
    How an output is shown; ``None`` for what a browser should not, or cannot without running something.

    :param uri: a file's suffix says what it is.
    """
    if codec != "file":
        return _BY_CODEC.get(codec)
    return _BY_SUFFIX.get(uri.rpartition("/")[2].rpartition(".")[2].lower())


def markdown_body(data: bytes) -> str:
    """Markdown as HTML; HTML inside of it is text."""
    from markdown_it import MarkdownIt

    text = _text(data)
    if len(text) > MAX_MARKDOWN:
        return _as_written(text)
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def rows_body(data: bytes) -> str:
    """The first rows of a :class:`~airflow_provider_mlx.Table`."""
    rows = [row if isinstance(row, Mapping) else {"": row} for row in json.loads(data)]
    shown = [decode(dict(row)) for row in rows[:MAX_ROWS]]
    columns = list(dict.fromkeys(column for row in shown for column in row))
    cells = [[row.get(column, "") for column in columns] for row in shown]
    return _table(columns, cells, more=len(rows) > MAX_ROWS)


def separated_body(delimiter: str) -> Callable[[bytes], str]:
    """The first rows of a file of separated values, the first of which names the columns."""

    def body(data: bytes) -> str:
        rows = list(itertools.islice(csv.reader(io.StringIO(_text(data)), delimiter=delimiter), MAX_ROWS + 2))
        return _table(rows[0] if rows else [], rows[1 : MAX_ROWS + 1], more=len(rows) > MAX_ROWS + 1)

    return body


def _table(columns: Sequence[Any], rows: Iterable[Sequence[Any]], *, more: bool) -> str:
    head = "".join(_cells("th", columns))
    lines = "\n".join(f"<tr>{''.join(_cells('td', row))}</tr>" for row in rows)
    left = f"<p>These are the first {MAX_ROWS} rows.</p>" if more else ""
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>\n{left}"


def _cells(tag: str, values: Sequence[Any]) -> Iterator[str]:
    for value in values[:MAX_COLUMNS]:
        text = str(value)
        yield f"<{tag}>{escape(text if len(text) <= MAX_CELL else text[:MAX_CELL] + '…')}</{tag}>"
    if len(values) > MAX_COLUMNS:
        yield f"<{tag}>…</{tag}>"


def _as_written(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace")


_HTML: Final = "text/html; charset=utf-8"
_PNG: Final = Form("figure", "image/png")
_MARKDOWN: Final = Form("markdown", _HTML, markdown_body)
_PAGE: Final = Form("html", _HTML)
_PLAIN: Final = Form("text", "text/plain; charset=utf-8")

_BY_CODEC: Final[Mapping[str, Form]] = {
    "figure": _PNG,
    "image": _PNG,
    "markdown": _MARKDOWN,
    "html": _PAGE,
    "table": Form("table", _HTML, rows_body),
    "text": _PLAIN,
}
"""
Not here: Plotly's figures, whose JSON only a script shows; frames, which pandas would have to read; models, ever.
"""
_BY_SUFFIX: Final[Mapping[str, Form]] = {
    "png": _PNG,
    "jpg": Form("figure", "image/jpeg"),
    "jpeg": Form("figure", "image/jpeg"),
    "gif": Form("figure", "image/gif"),
    "webp": Form("figure", "image/webp"),
    "svg": Form("figure", "image/svg+xml"),
    "md": _MARKDOWN,
    "html": _PAGE,
    "htm": _PAGE,
    "csv": Form("table", _HTML, separated_body(",")),
    "tsv": Form("table", _HTML, separated_body("\t")),
    "txt": _PLAIN,
    "log": _PLAIN,
}
"""Of a file that a step returned as its path."""
