"""Where cases run: one Airflow, one artifact root, the gates before the services that it uses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from airflow_provider_mlx.testing.remote.control import RemoteServer
from tests.e2e.harness import Environment

from .airflow import Airflow
from .case import Case
from .gate import Gate
from .lab_folders import CONN_ID, DEPLOYMENT
from .points import Points
from .records import Record
from .rows import Row
from .subjects import BOUNDED, BOUNDED_SECONDS, Subject

SITE = Path(__file__).resolve().parent / "site"
LONGEST = "5m"


class Lab:
    """
    One Airflow with one DAG per case.

    :param folder: everything that is written lies in it.
    :param tree: a checkout whose package is used instead of the installed one.
    """

    def __init__(
        self, folder: Path, *, environment: Environment, tree: Path | None = None, with_remote: bool = False,
    ) -> None:  # fmt: skip
        environment.check()
        self.folder = folder
        self.dags = folder / "dags"
        self.root = folder / "artifacts"
        self.small_root = folder / "small"
        self.local_jobs = folder / "local" / "local" / "jobs"
        self.dags.mkdir(parents=True)
        self.remote = RemoteServer(folder / "remote") if with_remote else None
        self.backend_gate = Gate(self.remote.port) if self.remote else None
        self.points = Points(folder / "points")
        self.record = Record(folder / "record.jsonl")
        self._environment = environment
        self._env = {
            "PYTHONPATH": ":".join(map(str, [SITE, *([tree] if tree else [])])),
            "MLX_FAULT_POINTS": str(self.points.folder),
            "AIRFLOW__MLX__STACKS_FILES": str(self._write_stacks()),
            "AIRFLOW__MLX__LOCAL_ROOT": str(folder / "local"),
            **self._connection(),
        }
        self.airflow = self._airflow("airflow", DEPLOYMENT)

    def second_airflow(self, deployment: str) -> Airflow:
        """Another Airflow with the same DAGs and stacks."""
        return self._airflow(f"airflow-{deployment}", deployment, parallelism=4)

    def _airflow(self, name: str, deployment: str, *, parallelism: int = 12) -> Airflow:
        return Airflow(
            bin_folder=self._environment.bin, home=self.folder / name, dags=self.dags, parallelism=parallelism,
            env=self._env | {"AIRFLOW__MLX__DEPLOYMENT_ID": deployment},
        )  # fmt: skip

    def cases(self, rows: Iterable[Row], subjects: Iterable[Subject]) -> list[Case]:
        """A case for every row and each subject that it is for; their DAG files are written."""
        wanted = list(subjects)
        cases = [Case(self, row, subject) for row in rows for subject in wanted if row.is_for(subject)]
        for case in cases:
            case.write_dag()
        return cases

    def start(self) -> None:
        """Start Airflow."""
        self.airflow.start()

    def stop(self) -> None:
        """End Airflow and the readers."""
        self.airflow.stop()
        self.record.close()
        if self.remote is not None and self.backend_gate is not None:
            self.backend_gate.close()
            self.remote.close()

    def _connection(self) -> dict[str, str]:
        """The job server, through the gate."""
        if self.remote is None or self.backend_gate is None:
            return {}
        return {
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(self.remote.connection() | {"port": self.backend_gate.port})
        }

    def _write_stacks(self) -> Path:
        """JSON is YAML."""
        kinds: dict[str, dict[str, str]] = {"local": {"backend": "local"}, "default": {"backend": "local"}}
        if self.remote is not None:
            kinds["remote"] = {"backend": "fake-remote", "conn_id": CONN_ID}
        targets = {
            name + suffix: {**kind, "max_runtime": limit}
            for name, kind in kinds.items()
            for suffix, limit in (("", LONGEST), (BOUNDED, f"{BOUNDED_SECONDS}s"))
        }
        roots = {"faults": self.root, "small": self.small_root}
        stacks = {name: {"artifacts": {"root": root.as_uri()}, "targets": targets} for name, root in roots.items()}
        file = self.folder / "stacks.yaml"
        file.write_text(json.dumps({"default": "faults", "stacks": stacks}))
        return file
