"""What came out, as JSON lines and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .judge import Seen


@dataclass(frozen=True)
class Outcome:
    """
    One case's outcome.

    :param wrong: what is wrong, in words; empty if all is right.
    :param evidence: for a case that is wrong: the ledger's files and the end of the task's log.
    """

    row: str
    subject: str
    seen: Seen | None
    wrong: tuple[str, ...]
    evidence: Any = field(default=None, repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


HEAD = ("fault", "subject", "jobs", "at once", "stops", "results", "orphans", "state", "tries", "value", "s", "wrong")


def line_of(outcome: Outcome) -> str:
    """One row of the Markdown table."""
    seen = outcome.seen
    facts: tuple[Any, ...] = ("",) * 9
    if seen is not None:
        facts = (
            seen.jobs, seen.at_once, seen.stops, seen.results, seen.orphans, seen.state, seen.tries, seen.marker or "–",
            f"{seen.seconds:.0f}",
        )  # fmt: skip
    wrong = "**" + "; ".join(outcome.wrong) + "**" if outcome.wrong else ""
    return _row(outcome.row, outcome.subject, *facts, wrong)


def markdown(outcomes: Iterable[Outcome]) -> str:
    """The whole table."""
    lines = [_row(*HEAD), _row(*("---" for _ in HEAD)), *map(line_of, outcomes)]
    return "\n".join(lines) + "\n"


def append(file: Path, outcome: Outcome) -> None:
    """Add one outcome to a file of JSON lines."""
    with file.open("a") as sink:
        sink.write(json.dumps(outcome.to_wire()) + "\n")


def _row(*cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def right_in(file: Path) -> set[tuple[str, str]]:
    """Row and subject of what such a file says was right the last time."""
    lines = file.read_text().splitlines() if file.exists() else []
    last = {(outcome["row"], outcome["subject"]): outcome for outcome in map(json.loads, lines)}
    return {pair for pair, outcome in last.items() if not outcome["wrong"]}
