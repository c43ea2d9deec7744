"""
Writes the table of ``docs/faults.md`` from what runs have left: ``python -m tests.faults.page RESULTS.jsonl …``.

Of several outcomes of one case the last counts; how many times it was run, and right, is said.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .rows import ROWS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- table: {} -->", "<!-- /table: {} -->"

TITLES: Final = {
    "mlx-local": "`local`", "mlx-remote-sync": "remote, in the worker", "mlx-remote-deferred": "remote, deferred",
    "mlx-kubernetes-sync": "in the worker", "mlx-kubernetes-deferred": "deferred",
    "mlx-training-sync": "training, in the worker", "mlx-training-deferred": "training, deferred",
    "mlx-processing-sync": "processing, in the worker", "mlx-processing-deferred": "processing, deferred",
    "mlx-kubeflow-sync": "in the worker", "mlx-kubeflow-deferred": "deferred",
    "sagemaker-sync": "SageMakerTrainingOperator", "sagemaker-deferred": "the same, deferrable",
}  # fmt: skip
TABLES: Final = {
    "ours": tuple(TITLES)[:3], "kubernetes": tuple(TITLES)[3:5], "sagemaker": tuple(TITLES)[5:9],
    "kubeflow": tuple(TITLES)[9:11], "peers": tuple(TITLES)[11:],
}  # fmt: skip

Outcomes = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]


def read(files: Iterable[Path]) -> Outcomes:
    """Every outcome, by row and subject."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            outcome = json.loads(line)
            found.setdefault((outcome["row"], outcome["subject"]), []).append(outcome)
    return found


def cell(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """What happened, in a few words."""
    if not outcomes:
        return "–"
    last = outcomes[-1]
    seen = last["seen"]
    if seen is None:
        return "**not judged**"
    parts = [f"{seen['jobs']} job{'s' if seen['jobs'] != 1 else ''}"]
    if seen["at_once"] > 1:
        parts.append(f"{seen['at_once']} at once")
    if seen["stops"]:
        parts.append("stopped")
    parts.append(str(seen["state"]))
    if seen["tries"] > 1:
        parts.append(f"try {seen['tries']}")
    if seen["orphans"]:
        parts.append(f"{seen['orphans']} orphan{'s' if seen['orphans'] > 1 else ''}")
    words = " · ".join(parts)
    return f"**wrong**: {words}" if last["wrong"] else words


def table(outcomes: Outcomes, subjects: Sequence[str]) -> str:
    """One line per row of the fault table that any of the subjects was put to."""
    lines = [
        "| | " + " | ".join(TITLES[name] for name in subjects) + " |",
        "| --- " * (len(subjects) + 1) + "|",
    ]
    names = list(dict.fromkeys([*(row.name for row in ROWS), *(row for row, _ in outcomes)]))
    for name in names:
        cells = [cell(outcomes.get((name, subject), ())) for subject in subjects]
        if any(text != "–" for text in cells):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(outcomes: Outcomes, subjects: Sequence[str]) -> str:
    """How often, and how often right."""
    of = [outcome for (_, subject), found in outcomes.items() if subject in subjects for outcome in found]
    right = sum(not outcome["wrong"] for outcome in of)
    cases = sum(1 for (_, subject) in outcomes if subject in subjects)
    return f"{cases} cases, {len(of)} runs, {right} of them right."


def main(files: Sequence[str]) -> None:
    """Replace the tables of the page that the files say something of."""
    outcomes, text = read(Path(file) for file in files), PAGE.read_text()
    for name, subjects in TABLES.items():
        if not any(subject in subjects for _, subject in outcomes):
            continue
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        body = f"{summary(outcomes, subjects)}\n\n{table(outcomes, subjects)}"
        text = f"{head}{begin}\n{body}\n{end}{tail}"
    PAGE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
