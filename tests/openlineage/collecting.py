"""
The whole suite is the sample: every Airflow of the tests writes its OpenLineage events down, and they are judged when
all tests of the process are over.

One file per event, since several processes write at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TRANSPORT: Final = "AIRFLOW__OPENLINEAGE__TRANSPORT"
REPORT: Final = Path(__file__).resolve().parents[2] / ".build" / "openlineage-events.txt"
_folders: Final[set[Path]] = set()


def events_into(folder: Path) -> dict[str, str]:
    """The variables of an Airflow that writes its events into a folder, which is judged at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    _folders.add(folder)
    transport = {"type": "file", "log_file_path": str(folder / "openlineage-event"), "append": False}
    return {TRANSPORT: json.dumps(transport)}


@pytest.fixture(scope="session", autouse=True)
def every_event_is_valid() -> Iterator[None]:
    """By the schemas, and each run of ours ends once and not before it began."""
    yield
    if not _folders:
        return
    from .validation import Told, events_in  # needs what environments without an Airflow lack

    told = Told()
    for folder in sorted(_folders):
        for event in events_in(folder):
            told.take(event)
    if told.events:
        line = (
            f"{told.events} events, {told.ours} of {len(told.runs)} runs of ours; without an end: {told.unfinished()}"
        )
        REPORT.parent.mkdir(exist_ok=True)
        with REPORT.open("a") as file:
            file.write(f"{line}\n")
    problems = [*told.problems, *told.life_problems()]
    assert not problems, f"{len(problems)} problems in {told.events} events:\n" + "\n".join(sorted(set(problems))[:40])
