"""The rows of the fault table that take seconds, on one real Airflow; ``python -m tests.faults.run`` has all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEMO, processes_about
from tests.faults.judge import judge
from tests.faults.lab import Lab
from tests.faults.rows import ROWS
from tests.faults.run import run_cases
from tests.faults.subjects import SUBJECTS
from tests.faults.table import Outcome

SUBJECT = SUBJECTS["mlx-local"]
QUICK = [row for row in ROWS if row.quick and row.is_for(SUBJECT)]
AT_ONCE = 5


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All rows beside each other; afterwards no process may be left that knows of them."""
    folder = tmp_path_factory.mktemp("faults")
    lab = Lab(folder / "lab", environment=DEMO)
    try:
        cases = lab.cases(QUICK, [SUBJECT])
        lab.start()
        found = run_cases(cases, lambda outcome: None, at_once=AT_ONCE)
    finally:
        lab.stop()
    yield {outcome.row: outcome for outcome in found}
    assert not list(processes_about(folder))


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_one_job_one_result_no_orphan(row, outcomes):
    outcome = outcomes[row.name]

    assert not outcome.wrong, f"{outcome.wrong}: {outcome.seen}\n{outcome.evidence}"
    assert outcome.seen is not None
    assert judge(row.expect, outcome.seen) == []
