"""The rows of the fault table that take seconds, on one real Airflow; ``python -m tests.faults.run`` has all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.e2e.harness import DEMO
from tests.faults.lab import Lab
from tests.faults.quick import Pair, Ran, id_of, ran_on
from tests.faults.rows import ROWS, Row
from tests.faults.subjects import SUBJECTS, Subject

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

PAIRS: Final[tuple[Pair, ...]] = (
    *((row, SUBJECTS["mlx-local"]) for row in ROWS if row.quick and row.is_for(SUBJECTS["mlx-local"])),
    *((BY_NAME[name], SUBJECTS[subject]) for subject, names in REMOTE_ROWS.items() for name in names),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ran]:
    wanted = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    lab = Lab(tmp_path_factory.mktemp("faults"), environment=DEMO, with_remote=True)
    with ran_on(lab, [pair for pair in PAIRS if id_of(pair) in wanted], at_once=AT_ONCE) as found:
        yield found


@pytest.mark.parametrize(("row", "subject"), PAIRS, ids=map(id_of, PAIRS))
def test_one_job_one_result_no_orphan(row: Row, subject: Subject, ran: Ran) -> None:
    ran.assert_right(row, subject)


def test_every_green_stands_on_a_claim(ran: Ran) -> None:
    assert ran.unproved == ()
