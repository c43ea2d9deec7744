"""The rows of the fault table that take seconds, on one real Airflow; ``python -m tests.faults.run`` has all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.harness import DEMO, processes_about
from tests.faults.judge import judge
from tests.faults.lab import Lab
from tests.faults.rows import ROWS, Row
from tests.faults.run import run_cases
from tests.faults.subjects import SUBJECTS, Subject
from tests.faults.table import Outcome

AT_ONCE: Final = 5
BY_NAME: Final[Mapping[str, Row]] = {row.name: row for row in ROWS}

REMOTE_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "mlx-remote-deferred": (
        "marked failed 3 s after the deferral",
        "marked success while the job runs",
        "cleared while long deferred",
        "task killed between submission and handle",
        "task killed after the claim",
        "ends within seconds of the deferral",
        "triggerer killed",
        "backend unreachable for 20 s while the job runs",
    ),
    "mlx-remote-sync": (
        "marked failed while the job runs",
        "cleared while the job runs",
        "task killed while the job runs",
        "backend unreachable for 20 s while the job runs",
    ),
}
"""One of each kind: what the triggerer does, and what differs where a worker watches a job of another system."""

PAIRS: Final[tuple[tuple[Row, Subject], ...]] = (
    *((row, SUBJECTS["mlx-local"]) for row in ROWS if row.quick and row.is_for(SUBJECTS["mlx-local"])),
    *((BY_NAME[name], SUBJECTS[subject]) for subject, names in REMOTE_ROWS.items() for name in names),
)


@dataclass(frozen=True)
class Ran:
    """What the module's one lab has left."""

    outcomes: Mapping[tuple[str, str], Outcome]
    unproved: tuple[str, ...]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ran]:
    """All cases that are wanted, beside each other; afterwards no process may be left that knows of them."""
    folder = tmp_path_factory.mktemp("faults")
    wanted = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    lab = Lab(folder / "lab", environment=DEMO, with_remote=True)
    try:
        cases = [
            case for row, subject in PAIRS if id_of(row, subject) in wanted for case in lab.cases([row], [subject])
        ]
        lab.start()
        found = run_cases(cases, lambda outcome: None, at_once=AT_ONCE)
        lab.airflow.stop()
        unproved = tuple(lab.greens_without_proof(cases))
    finally:
        lab.stop()
    yield Ran({(outcome.row, outcome.subject): outcome for outcome in found}, unproved)
    assert not list(processes_about(folder))


def id_of(row: Row, subject: Subject) -> str:
    """A case's name in the report."""
    return f"{row.name}--{subject.name}"


@pytest.mark.parametrize(("row", "subject"), PAIRS, ids=[id_of(row, subject) for row, subject in PAIRS])
def test_one_job_one_result_no_orphan(row: Row, subject: Subject, ran: Ran) -> None:
    outcome = ran.outcomes[row.name, subject.name]

    assert not outcome.wrong, f"{outcome.wrong}: {outcome.seen}\n{outcome.evidence}"
    assert outcome.seen is not None
    assert judge(row.expect, outcome.seen) == []


def test_every_green_stands_on_a_claim(ran: Ran) -> None:
    assert ran.unproved == ()
