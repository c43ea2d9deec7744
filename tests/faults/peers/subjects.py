"""The operators of others that the table judges too, and the rows that have an equivalent for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tests.faults.rows import ROWS, Row
from tests.faults.subjects import REMOTE, Subject

from . import faults

CONN_ID: Final = "faults_sagemaker"


def _sagemaker(name: str, *, deferred: bool) -> Subject:
    task: dict[str, Any] = {"aws_conn_id": CONN_ID, "region_name": "us-east-1", "deferrable": deferred}
    return Subject(name, REMOTE, deferred=deferred, task=task, template="sagemaker.py")


PEERS: Final = {
    subject.name: subject
    for subject in (_sagemaker("sagemaker-sync", deferred=False), _sagemaker("sagemaker-deferred", deferred=True))
}

# Not here: rows that happen at a write of our ledger, those about it or about an artifact store, those about a limit
# that the stack's target sets, and SIGTERM to the task's process alone: without a machine that ends, to go on until the
# job is over harms nobody.
EQUIVALENT: Final = (
    "task killed while the job runs",
    "supervisor killed while the job runs",
    "worker killed while the job runs",
    "worker killed after the job finished, unseen",
    "worker drained while the job runs",
    "worker drained on the last try",
    "marked failed while the job runs",
    "marked success while the job runs",
    "cleared while the job runs",
    "execution_timeout",
    "dagrun_timeout",
    "the user's code fails once",
    "the user's code fails on the last try",
    "backend unreachable while the job runs",
    "Airflow's API unreachable while the job runs",
    "all of Airflow killed while the job runs",
    "scheduler and workers killed while the job runs",
    "marked failed while long deferred",
    "cleared while long deferred",
    "triggerer killed",
    "triggerer shut down",
    "triggerer down while the job ends",
)

# A worker that ends by itself when it is asked to comes out the same in both: ours is not put to another fault.
_KILLED_IN_THE_END: Final = {
    "worker drained while the job runs": faults.drain,
    "worker drained on the last try": faults.drain_on_the_last_try,
}

PEER_ROWS: Final[tuple[Row, ...]] = tuple(
    replace(row, fault=_KILLED_IN_THE_END.get(row.name, row.fault)) for row in ROWS if row.name in EQUIVALENT
)
