"""Where cases run: one Airflow, one artifact root, the gates before the services that it uses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from airflow_provider_mlx.testing.remote.control import RemoteServer
from tests.cluster.cluster import Cluster
from tests.e2e.harness import Environment
from tests.greens import unclaimed

from .airflow import Airflow
from .case import Case
from .gate import Gate
from .kubeflow import KubeflowJobs
from .kubernetes import KubernetesJobs
from .lab_folders import CONN_ID, DEPLOYMENT
from .points import Points
from .records import Record
from .rows import Row
from .sagemaker import SageMakerJobs
from .subjects import BOUNDED, BOUNDED_SECONDS, KUBEFLOW, KUBERNETES, SAGEMAKER, Subject
from .systems import System
from .worlds import ORDINARY, World

SITE = Path(__file__).resolve().parent / "site"
LONGEST = "5m"


class Lab:
    """
    One Airflow with one DAG per case.

    :param folder: everything that is written lies in it.
    :param tree: a checkout whose package is used instead of the installed one.
    :param cluster: a Kubernetes whose nodes see this host's folders.
    :param world: the kind of Airflow.
    """

    def __init__(
        self, folder: Path, *, environment: Environment, tree: Path | None = None, with_remote: bool = False,
        cluster: Cluster | None = None, with_sagemaker: bool = False, with_kubeflow: bool = False,
        world: World = ORDINARY,
    ) -> None:  # fmt: skip
        environment.check()
        self.folder = folder
        self.dags = folder / "dags"
        self.root = folder / "artifacts"
        self.small_roots = folder / "small"
        self.local_jobs = folder / "local" / "local" / "jobs"
        self.dags.mkdir(parents=True)
        self.world = world
        self._at_end: list[Callable[[], object]] = []
        self.remote = RemoteServer(folder / "remote") if with_remote else None
        self.systems: dict[str, System] = {
            **({KUBERNETES: KubernetesJobs(cluster, folder)} if cluster else {}),
            **({SAGEMAKER: SageMakerJobs(folder)} if with_sagemaker else {}),
            **({KUBEFLOW: KubeflowJobs(folder)} if with_kubeflow else {}),
        }
        self._remote_gate = Gate(self.remote.port) if self.remote else None
        self.points = Points(folder / "points")
        self.record = Record(folder / "record.jsonl")
        self._environment = environment
        self._env = {
            "PYTHONPATH": ":".join(map(str, [SITE, *([tree] if tree else [])])),
            "MLX_FAULT_POINTS": str(self.points.folder),
            "AIRFLOW__MLX__STACKS_FILES": str(self._write_stacks([])),
            "AIRFLOW__MLX__LOCAL_ROOT": str(folder / "local"),
            **self._connections(),
        }
        self.airflow = self._airflow("airflow", DEPLOYMENT)

    def second_airflow(self, deployment: str) -> Airflow:
        """Another Airflow with the same DAGs and stacks."""
        return self._airflow(f"airflow-{deployment}", deployment, parallelism=4)

    def _airflow(self, name: str, deployment: str, *, parallelism: int = 12) -> Airflow:
        return Airflow(
            bin_folder=self._environment.bin, home=self.folder / name, dags=self.dags, parallelism=parallelism,
            env=self._env | {"AIRFLOW__MLX__DEPLOYMENT_ID": deployment}, world=self.world,
        )  # fmt: skip

    def cases(
        self, rows: Iterable[Row], subjects: Iterable[Subject], *, done: Collection[tuple[str, str]] = ()
    ) -> list[Case]:
        """
        A case for every row and each subject that it is for; their DAG files are written.

        :param done: those that are left out, by the names of both.
        """
        pairs = [(row, subject) for row, subject in itertools.product(rows, list(subjects)) if row.is_for(subject)]
        cases = [Case(self, row, subject) for row, subject in pairs if (row.name, subject.name) not in done]
        self._write_stacks([case for case in cases if case.row.small_disk])
        for case in cases:
            case.write_dag()
        return cases

    def start(self) -> None:
        """Start Airflow."""
        self.airflow.start()

    def mend(self) -> None:
        """After a fault that broke in the middle: what it took away from everybody is there again."""
        for gate in self.backend_gates:
            gate.speak()
            gate.open()
        self.airflow.mend()

    def at_end(self, act: Callable[[], object]) -> None:
        """Do this when everything has ended."""
        self._at_end.append(act)

    def greens_without_proof(self, cases: Iterable[Case]) -> list[str]:
        """
        Successes in any database of this lab that no claim proves, in words.

        :param cases: those whose state a user set prove nothing.
        """
        known = list(cases)
        by_hand = {(case.dag_id, case.run_id) for case in known if case.row.expect.by_hand}
        roots = {self.root, *(case.ledger_root for case in known)}
        databases = sorted(self.folder.glob("airflow*/airflow.db"))
        return [
            f"{green} in {database.parent.name} is not proved by a claim"
            for database in databases
            for green in unclaimed(database, roots, by_hand=by_hand)
        ]

    def stop(self) -> None:
        """End Airflow and the readers."""
        self.airflow.stop()
        self.record.close()
        while self._at_end:
            self._at_end.pop()()
        if self.remote is not None and self._remote_gate is not None:
            self._remote_gate.close()
            self.remote.close()
        for system in self.systems.values():
            system.close()

    @property
    def backend_gates(self) -> list[Gate]:
        """The gates before the systems that run jobs."""
        found = [self._remote_gate, *(system.gate for system in self.systems.values())]
        return [gate for gate in found if gate is not None]

    def _connections(self) -> dict[str, str]:
        """The systems that run jobs, through their gates."""
        found: dict[str, Any] = {}
        if self.remote is not None and self._remote_gate is not None:
            found[CONN_ID] = self.remote.connection() | {"port": self._remote_gate.port}
        for system in self.systems.values():
            found |= system.connections()
        return {self.world.connection_variable(name): json.dumps(value) for name, value in found.items()}

    def _write_stacks(self, on_small_disks: Iterable[Case]) -> Path:
        """JSON is YAML. A case on a disk of its own has a stack of its own, with the DAG's name."""
        kinds: dict[str, dict[str, Any]] = {"local": {"backend": "local"}, "default": {"backend": "local"}}
        if self.remote is not None:
            kinds["remote"] = {"backend": "fake-remote", "conn_id": CONN_ID}
        for system in self.systems.values():
            kinds |= system.targets()
        limits = {"": LONGEST, BOUNDED: f"{BOUNDED_SECONDS}s"}
        targets = {
            name + suffix: {**kind, "max_runtime": limit}
            for name, kind in kinds.items()
            for suffix, limit in limits.items()
        }
        roots = {"faults": self.root, **{case.dag_id: case.ledger_root for case in on_small_disks}}
        stacks = {name: {"artifacts": {"root": root.as_uri()}, "targets": targets} for name, root in roots.items()}
        for system in self.systems.values():
            stacks |= system.stacks(limits)
        file = self.folder / "stacks.yaml"
        file.write_text(json.dumps({"default": "faults", "stacks": stacks}))
        return file
