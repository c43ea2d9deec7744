"""
Every green task instance of a test session is believed only with its claim.

SUCCESS in Airflow's database must stand on a ``claim-{try}`` of that very try, whose digest is that of ``result.json``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

OURS = (
    "MlxDecoratedOperator",
    "MlxStepOperator",
    "MlxStep",
    "@task.mlx",
    "MlxKubernetesResource",
    "MlxSageMakerPipeline",
)


@dataclass(frozen=True)
class Green:
    """A task instance that Airflow calls a success."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    tries: int


def greens(database: Path) -> Iterator[Green]:
    """Our operators' successes in a database, read with sqlite3 and not with Airflow."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60) as connection:
        columns = {row[1] for row in connection.execute("pragma table_info(task_instance)")}
        named = "custom_operator_name" if "custom_operator_name" in columns else "operator"
        marks = ",".join("?" * len(OURS))
        query = (
            "select dag_id, run_id, task_id, map_index, try_number from task_instance "
            f"where state = 'success' and (operator in ({marks}) or {named} in ({marks}))"
        )
        for row in connection.execute(query, OURS * 2):
            yield Green(*row)


def unclaimed(database: Path, roots: Iterable[Path], *, by_hand: Collection[tuple[str, str]] = ()) -> Iterator[Green]:
    """
    Greens without a claim that proves them.

    :param by_hand: DAG and run of task instances that a test marked itself.
    """
    known = {proof for root in roots for proof in proofs(root)}
    for green in greens(database):
        proof = (green.dag_id, green.run_id, green.task_id, green.map_index, green.tries)
        if proof not in known and (green.dag_id, green.run_id) not in by_hand:
            yield green


def proofs(root: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """Every claim whose digest is its attempt's result's."""
    for claim in root.glob("runs/*/*/*/*/*/attempt-*/claim-*"):
        result = claim.parent / "result.json"
        if not result.exists():
            continue
        said = json.loads(claim.read_bytes())
        data = result.read_bytes()
        if said.get("result_sha256") == hashlib.sha256(data).hexdigest():
            step = json.loads(data)["step"]
            yield step["dag_id"], step["run_id"], step["task_id"], step["map_index"], said["try_number"]
