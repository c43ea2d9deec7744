"""Two workers that ask for one run at the same moment take turns."""

from __future__ import annotations

import concurrent.futures
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.transport import CONNECT_SECONDS, PAUSES, READ_SECONDS
from airflow_provider_mlx.backends.kubeflow_pipelines.turns import ASK_WITHIN, TURN, Turn, take_turn
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.unit.backends.kubeflow_pipelines.server import serving

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def taken(folder: str, at: datetime) -> bool:
    try:
        take_turn(ObjectStore(), folder, now=lambda: at)
    except BackendUnavailable:
        return False
    return True


def test_a_turn_is_taken_once_and_the_next_one_later(tmp_path):
    folder = f"file://{tmp_path}/attempt-1"
    seconds = [0, 1, 59, 60, 61, 119, 120]
    assert [taken(folder, NOON + timedelta(seconds=one)) for one in seconds] == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_another_attempt_has_turns_of_its_own(tmp_path):
    assert taken(f"file://{tmp_path}/attempt-1", NOON)
    assert taken(f"file://{tmp_path}/attempt-2", NOON)


def test_a_turn_that_cannot_be_read_is_somebodys(tmp_path):
    (tmp_path / "attempt-1").mkdir()
    (tmp_path / "attempt-1/request-1.json").write_text("half")
    assert not taken(f"file://{tmp_path}/attempt-1", NOON)


def test_a_turn_lasts_longer_than_a_request():
    connecting = CONNECT_SECONDS * (len(PAUSES) + 1) + sum(PAUSES)
    assert ASK_WITHIN + timedelta(seconds=connecting + READ_SECONDS) < TURN


def test_who_was_held_up_after_a_turn_asks_no_more():
    now = [100.0]
    turn = Turn(until=110.0, clock=lambda: now[0])
    turn.check()
    now[0] = 110.5
    with pytest.raises(BackendUnavailable, match="looks again first"):
        turn.check()


def test_many_workers_at_once_make_one_workflow(tmp_path):
    with serving() as server:

        def submit(_: int) -> str:
            client = KubeflowPipelinesClient(lambda: ServerAccess(server.url))
            try:
                if client.find_run("r-1") is None:
                    turn = take_turn(ObjectStore(), f"file://{tmp_path}/attempt-1")
                    client.create_run({"run_id": "r-1"}, before_asking=turn.check)
                return "made or found"
            except BackendUnavailable:
                return "later"
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(submit, range(8)))
        assert server.workflows == ["r-1"]
        assert "made or found" in answers


def test_the_refusal_says_what_is_waited_for(tmp_path):
    take_turn(ObjectStore(), f"file://{tmp_path}/a", now=lambda: NOON)
    with pytest.raises(BackendUnavailable, match="asked for 5 s ago"):
        take_turn(ObjectStore(), f"file://{tmp_path}/a", now=lambda: NOON + timedelta(seconds=5))
