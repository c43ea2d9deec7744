"""Where a peer's cases run: the same lab, with the peer's backend in the place of the job server."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.testing.remote.record import Record
from tests.e2e.harness import ROOT, Environment
from tests.faults.case import Case
from tests.faults.gate import Gate
from tests.faults.judge import Seen
from tests.faults.lab import Lab
from tests.faults.rows import Row
from tests.faults.subjects import Subject

from .subjects import CONN_ID

HEARTBEAT_SECONDS: Final = 30
"""A little more patience than in our own table: boto3 takes long to import where others work beside it."""

SHOWN_SECONDS: Final = 12
"""A try of theirs begins with some seconds of imports: the job of the one before must not end meanwhile."""


class SageMaker:
    """The endpoint of ``sagemaker.py`` as a process; what the driver asks of a job server, this answers too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._record_file = folder / "record.jsonl"
        with (folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.peers.sagemaker", "--record", str(self._record_file)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        word, _, port = self._process.stdout.readline().partition(" ")
        if word != "ready":
            raise RuntimeError(f"the endpoint did not start: exit status {self._process.wait()}, see {folder}")
        self.port = int(port)

    def record(self) -> Record:
        """What really happened so far."""
        return Record.read(self._record_file)

    def close(self) -> None:
        """End it and every job."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


class PeerCase(Case):
    """A case of an operator without a ledger: what it collected is the job's description in its value."""

    def wait_next_try(self, seconds: float = 90) -> None:
        """Wait until a try after the one of the fault runs, and shows whether it starts a job of its own."""
        super().wait_next_try(seconds)
        with contextlib.suppress(TimeoutError, RuntimeError):  # it does not, or all is over
            self.wait_jobs(2, seconds=SHOWN_SECONDS)

    def seen(self) -> Seen:
        """What the records say, after the final state."""
        marker, pid = described(self.lab.airflow.value(self.dag_id, self.run_id))
        return replace(
            super().seen(), results=int(pid is not None), marker=marker,
            value_is_of_a_job=any(job.ended and job.pid == pid for job in self.jobs()),
        )  # fmt: skip


class PeerLab(Lab):
    """A lab whose backend is a SageMaker of this host, behind the gate."""

    remote: Any  # of another class than the job server, with what the driver asks of it

    def __init__(self, folder: Path, *, environment: Environment) -> None:
        super().__init__(folder, environment=environment)
        self.remote = SageMaker(folder / "sagemaker")
        self.backend_gates = [Gate(self.remote.port)]
        connection = {
            "conn_type": "aws", "login": "nobody", "password": "nothing",
            "extra": {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{self.backend_gates[0].port}"},
        }  # fmt: skip
        self.airflow.env |= {
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def cases(self, rows: Iterable[Row], subjects: Iterable[Subject]) -> list[Case]:
        """A case for every row and each subject that it is for; their DAG files are written."""
        wanted = list(subjects)
        cases: list[Case] = [PeerCase(self, row, subject) for row in rows for subject in wanted if row.is_for(subject)]
        for case in cases:
            case.write_dag()
        return cases


def described(value: Any) -> tuple[str | None, int | None]:
    """The code's marker and the process's number, of the training job that a value describes."""
    job: Mapping[str, Any] = value.get("Training", {}) if isinstance(value, dict) else {}
    pids = [int(metric["Value"]) for metric in job.get("FinalMetricDataList", []) if metric["MetricName"] == "pid"]
    return job.get("HyperParameters", {}).get("marker"), pids[-1] if pids else None
