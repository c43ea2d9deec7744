"""A few rows of the fault table with steps on a real API server of Kubeflow Pipelines, on one real Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.cluster.fixtures import needed
from tests.e2e.harness import DEMO
from tests.faults.lab import Lab
from tests.faults.quick import Pair, Ran, id_of, ran_on
from tests.faults.rows import ROWS, Row
from tests.faults.subjects import SUBJECTS, Subject

WANTED: Final = {
    "mlx-kubeflow-deferred": (
        "task killed between submission and handle",
        "marked failed while long deferred",
        "the answers to the requests for runs are lost",
        "the run is deleted while it goes on",
        "the run fails and is run again from its page",
        "Kubeflow's API server restarted while the job runs",
    ),
    "mlx-kubeflow-sync": ("cleared while the job runs", "the run is terminated on its page"),
}
"""One of each kind: what its server does that no other does, and what differs where a worker watches."""
PAIRS: Final[tuple[Pair, ...]] = tuple(
    (next(row for row in ROWS if row.name == name), SUBJECTS[subject])
    for subject, names in WANTED.items()
    for name in names
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with needed():
        lab = Lab(tmp_path_factory.mktemp("kubeflow"), environment=DEMO, with_kubeflow=True)
    with ran_on(lab, PAIRS, at_once=4) as found:
        yield found


@pytest.mark.parametrize(("row", "subject"), PAIRS, ids=map(id_of, PAIRS))
def test_one_job_one_result_no_orphan(row: Row, subject: Subject, ran: Ran) -> None:
    ran.assert_right(row, subject)


def test_every_green_stands_on_a_claim(ran: Ran) -> None:
    assert ran.unproved == ()
