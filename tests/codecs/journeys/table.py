"""
``docs/codecs-tested.json``: what a whole run has shown, for the page of the codecs.

Written by the process that hears of every test, and only where each codec of the group has made each of its ways; a run
of a few tests changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.runtime.codecs import CODECS
from tests.codecs.groups import codecs_of

FILE: Final = Path(__file__).parents[3] / "docs" / "codecs-tested.json"
_rows: dict[str, Any] = {}


def note(report: Any) -> None:
    """Take up what a test has recorded."""
    said: Mapping[str, Any] = dict(report.user_properties)
    if report.when == "call" and report.passed and "codec" in said:
        _rows[said["codec"]] = {"ways": said["ways"], "packages": said["packages"]}


def write(group: str) -> None:
    """Replace the group's rows."""
    if set(_rows) != set(codecs_of(group)):
        return
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    rows = {name: {**kept, **_rows}[name] for name in CODECS if name in kept or name in _rows}
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
