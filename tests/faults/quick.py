"""Some rows of the fault table as tests: run beside each other on one lab, then judged one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.harness import processes_about

from .judge import judge
from .lab import Lab
from .rows import Row
from .run import run_cases
from .subjects import Subject
from .table import Outcome

Pair = tuple[Row, Subject]


@dataclass(frozen=True)
class Ran:
    """What one lab has left."""

    outcomes: Mapping[tuple[str, str], Outcome]
    unproved: tuple[str, ...]

    def assert_right(self, row: Row, subject: Subject) -> None:
        """One job, one result, no orphan, as the row expects it of this subject."""
        outcome = self.outcomes[row.name, subject.name]
        assert not outcome.wrong, f"{outcome.wrong}: {outcome.seen}\n{outcome.evidence}"
        assert outcome.seen is not None
        assert judge(row.expect, outcome.seen) == []


@contextmanager
def ran_on(lab: Lab, pairs: Iterable[Pair], *, at_once: int) -> Iterator[Ran]:
    """All pairs beside each other on the lab's one real Airflow; afterwards no process may be left that knows of it."""
    try:
        cases = [case for row, subject in pairs for case in lab.cases([row], [subject])]
        lab.start()
        found = run_cases(cases, lambda outcome: None, at_once=at_once)
        lab.airflow.stop()
        unproved = tuple(lab.greens_without_proof(cases))
    finally:
        lab.stop()
    yield Ran({(outcome.row, outcome.subject): outcome for outcome in found}, unproved)
    assert not list(processes_about(lab.folder))


def id_of(pair: Pair) -> str:
    """A pair's name in the report."""
    row, subject = pair
    return f"{row.name}--{subject.name}"
