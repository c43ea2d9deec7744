"""What the pages hold, for the tests here and elsewhere: ``from tests.docs.snippets import first_dag``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w{}]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its language, its text, and where it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: the root's, and those below ``docs`` and ``changelog.d``."""
    found = [*ROOT.glob("*.md"), *(ROOT / "changelog.d").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in found if "_build" not in path.parts)


def name_of(page: Path) -> str:
    """A page as messages and ids call it."""
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path) -> list[Snippet]:
    """The fenced blocks of a page, without the indentation of a list that they stand in."""
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(
            page=name_of(page),
            line=text.count("\n", 0, match.start()) + 2,
            language=match["language"],
            text="".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True)),
        )
        for match in _FENCE.finditer(text)
    ]


def all_snippets(language: str) -> list[Snippet]:
    """The blocks of one language on all pages."""
    return [snippet for page in pages() for snippet in snippets(page) if snippet.language == language]


def without_snippets(text: str) -> str:
    """A page without its fenced blocks; lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def first_dag() -> str:
    """The README's first DAG, as a reader would save it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, marker, after = text.partition("<!-- first-dag -->\n")
    found = _FENCE.match(after)
    if not marker or found is None or found["language"] != "python":
        raise ValueError("README.md has no python block right after the comment `<!-- first-dag -->`")
    return found["text"]
