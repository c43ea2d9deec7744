"""The check of greens can fail: a success is believed only with a claim of that very try, about that very result."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing

import pytest

from tests.greens import Green, greens, unclaimed

RESULT = json.dumps({"step": {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}}).encode()
DIGEST = hashlib.sha256(RESULT).hexdigest()
GREEN = Green("d", "r", "t", -1, 2)


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "airflow.db"
    with closing(sqlite3.connect(file)) as made, made:
        made.execute(
            "create table task_instance (dag_id, run_id, task_id, map_index, try_number, state, operator,"
            " custom_operator_name)"
        )
        made.executemany(
            "insert into task_instance values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                ("d", "r", "t", -1, 2, "success", "MlxDecoratedOperator", "@task.mlx"),
                ("d", "r", "red", -1, 2, "failed", "MlxDecoratedOperator", "@task.mlx"),
                ("d", "r", "theirs", -1, 1, "success", "PythonOperator", "@task"),
            ],
        )
    return file


@pytest.fixture
def attempt(tmp_path):
    folder = tmp_path / "root" / "runs" / "deployment" / "d" / "r" / "t" / "-1" / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(RESULT)
    return folder


def claim(attempt, *, try_number=2, digest=DIGEST):
    said = {"try_number": try_number, "result_sha256": digest}
    (attempt / f"claim-{try_number}").write_text(json.dumps(said))


def test_only_our_successes_are_asked_for_a_proof(database):
    assert list(greens(database)) == [GREEN]


def test_a_claim_of_that_try_about_that_result_proves_it(database, attempt, tmp_path):
    claim(attempt)

    assert list(unclaimed(database, [tmp_path / "root"])) == []


def test_without_a_claim_it_is_not_proved(database, attempt, tmp_path):
    assert list(unclaimed(database, [tmp_path / "root"])) == [GREEN]
    assert list(unclaimed(database, [])) == [GREEN]


@pytest.mark.parametrize(
    "forged",
    [{"digest": "0" * 64}, {"digest": ""}, {"try_number": 1}, {"try_number": 3}],
    ids=lambda forged: str(forged),
)
def test_another_digest_or_another_try_proves_nothing(database, attempt, tmp_path, forged):
    claim(attempt, **forged)

    assert list(unclaimed(database, [tmp_path / "root"])) == [GREEN]


def test_a_result_that_was_changed_after_the_claim_proves_nothing(database, attempt, tmp_path):
    claim(attempt)
    (attempt / "result.json").write_bytes(RESULT + b" ")

    assert list(unclaimed(database, [tmp_path / "root"])) == [GREEN]


def test_a_claim_without_a_result_proves_nothing(database, attempt, tmp_path):
    claim(attempt)
    (attempt / "result.json").unlink()

    assert list(unclaimed(database, [tmp_path / "root"])) == [GREEN]


@pytest.mark.parametrize("other", ["dag_id", "run_id", "task_id", "map_index"])
def test_the_result_of_another_task_instance_proves_nothing(database, attempt, tmp_path, other):
    step = json.loads(RESULT)["step"] | {other: 0 if other == "map_index" else "other"}
    data = json.dumps({"step": step}).encode()
    (attempt / "result.json").write_bytes(data)
    claim(attempt, digest=hashlib.sha256(data).hexdigest())

    assert list(unclaimed(database, [tmp_path / "root"])) == [GREEN]


def test_what_was_marked_by_hand_needs_no_proof(database):
    assert list(unclaimed(database, [], by_hand={("d", "r")})) == []
    assert list(unclaimed(database, [], by_hand={("d", "another run")})) == [GREEN]
