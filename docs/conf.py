"""Sphinx: Markdown in, HTML out. No network, warnings are errors (``make docs``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

project = "airflow-provider-mlx"
author = "the airflow-provider-mlx authors"
copyright = author
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "airflow-provider-mlx"
templates_path: list[str] = []
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

SOURCE = "https://github.com/airflow-provider-mlx/airflow-provider-mlx/blob/main"
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)")


def link_to_source(app: Any, docname: str, content: list[str]) -> None:
    """A link that leaves this folder (to a test, to the code), or to a folder, leads to the repository when built."""
    docs, root = Path(app.srcdir), Path(app.srcdir).parent

    def replaced(match: re.Match[str]) -> str:
        target = ((docs / docname).parent / match[1]).resolve()
        if target.is_relative_to(docs) and not target.is_dir():
            return match[0]
        return f"]({SOURCE}/{target.relative_to(root).as_posix()}{match[2] or ''})"

    content[0] = _LINK.sub(replaced, content[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", link_to_source)
