"""The rows of the fault table that take seconds, with steps on real nodes; the whole table is a command of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.harness import Environment
from tests.faults.lab import Lab
from tests.faults.quick import Ran, id_of, ran_on
from tests.faults.rows import ROWS, Row
from tests.faults.subjects import SUBJECTS, Subject

AIRFLOW: Final = Environment("cluster")
AT_ONCE: Final = 4
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "mlx-kubernetes-deferred": (
        "marked failed while the job runs",
        "cleared while long deferred",
        "task killed between submission and handle",
        "ends within seconds of the deferral",
        "triggerer killed",
        "backend unreachable for 20 s while the job runs",
        "all of Airflow killed while the job runs",
    ),
    "mlx-kubernetes-sync": (
        "marked failed while the job runs",
        "task killed while the job runs",
        "task killed after the job finished, unseen",
        "the user's code fails once",
        "the job's name is somebody else's",
        "backend unreachable for 20 s while the job runs",
    ),
}
BY_NAME: Final = {row.name: row for row in ROWS}
PAIRS: Final = [(BY_NAME[name], SUBJECTS[subject]) for subject, names in NAMES.items() for name in names]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Ran]:
    lab = Lab(tmp_path_factory.mktemp("kubernetes-faults"), environment=AIRFLOW, cluster=cluster)
    with ran_on(lab, PAIRS, at_once=AT_ONCE) as found:
        yield found


@pytest.mark.parametrize(("row", "subject"), PAIRS, ids=map(id_of, PAIRS))
def test_one_job_one_result_no_orphan(row: Row, subject: Subject, ran: Ran) -> None:
    ran.assert_right(row, subject)


def test_every_green_stands_on_a_claim(ran: Ran) -> None:
    assert ran.unproved == ()
