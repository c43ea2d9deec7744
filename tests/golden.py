"""
Golden files: big outputs as JSON, as a user would see them, compared exactly.

A difference is shown as a diff. ``MLX_ACCEPT_GOLDEN=1 pytest …`` writes the files anew: read the diff before you commit.
"""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path

import pytest


def assert_golden(path: Path, value: object) -> None:
    """``value`` is what the file holds."""
    now = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("MLX_ACCEPT_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(now)
    before = path.read_text() if path.exists() else ""
    if now != before:
        diff = "".join(difflib.unified_diff(before.splitlines(True), now.splitlines(True), str(path), "now"))
        pytest.fail(
            f"{diff}\nif this is right: MLX_ACCEPT_GOLDEN=1 pytest {os.environ['PYTEST_CURRENT_TEST'].split('::')[0]}"
        )
