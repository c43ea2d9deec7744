"""The rows of the fault table that take seconds, with steps on real nodes; the whole table is a command of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.harness import Environment, processes_about
from tests.faults.judge import judge
from tests.faults.lab import Lab
from tests.faults.rows import ROWS, Row
from tests.faults.run import run_cases
from tests.faults.subjects import SUBJECTS, Subject
from tests.faults.test_quick import Ran

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
    """All cases beside each other on one real Airflow; afterwards no process may be left that knows of them."""
    folder = tmp_path_factory.mktemp("kubernetes-faults")
    lab = Lab(folder / "lab", environment=AIRFLOW, cluster=cluster)
    try:
        cases = [case for row, subject in PAIRS for case in lab.cases([row], [subject])]
        lab.start()
        found = run_cases(cases, lambda outcome: None, at_once=AT_ONCE)
        lab.airflow.stop()
        unproved = tuple(lab.greens_without_proof(cases))
    finally:
        lab.stop()
    yield Ran({(outcome.row, outcome.subject): outcome for outcome in found}, unproved)
    assert not list(processes_about(folder))


@pytest.mark.parametrize(("row", "subject"), PAIRS, ids=[f"{row.name}--{subject.name}" for row, subject in PAIRS])
def test_one_job_one_result_no_orphan(row: Row, subject: Subject, ran: Ran) -> None:
    outcome = ran.outcomes[row.name, subject.name]

    assert not outcome.wrong, f"{outcome.wrong}: {outcome.seen}\n{outcome.evidence}"
    assert outcome.seen is not None
    assert judge(row.expect, outcome.seen) == []


def test_every_green_stands_on_a_claim(ran: Ran) -> None:
    assert ran.unproved == ()
