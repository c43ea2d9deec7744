"""Which of several errors is the job's: by their names alone, and what an exception says of a lost peer."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.runtime.causes import error_name, first_cause, has_lost_a_peer


def at(second: float, writer: str, follows: str) -> str:
    return error_name(f"2026-11-25T19:30:{second:06.3f}+00:00", writer, follows)


RAISES = at(1.0, "rank3", "own")


@pytest.mark.parametrize(
    ("names", "first"),
    [
        pytest.param([], None, id="no error"),
        pytest.param([RAISES], RAISES, id="one"),
        pytest.param(
            [at(0.9, "rank0", "peer"), RAISES, at(1.4, "rank2", "stop")], RAISES,
            id="what follows from another's end does not count, even if a clock says that it came first",
        ),
        pytest.param([at(1.2, "rank1", "own"), RAISES], RAISES, id="of two that failed by themselves the first"),
        pytest.param([at(2, "rank1", "stop"), at(9, "rank0", "peer")], at(9, "rank0", "peer"),
                     id="a lost peer says more than a stop"),
        pytest.param([at(2, "rank10", "stop"), at(2, "rank9", "stop")], at(2, "rank10", "stop"), id="a tie is decided"),
        pytest.param(
            [at(1, "rank0", "stop"), at(1, "rank1", "stop"), at(20, "rank0", "peer"), at(19, "rank1", "own")],
            at(19, "rank1", "own"), id="a job that was taken away, starts again and fails",
        ),
        pytest.param(
            [at(1, "rank1", "own"), at(20, "rank1", "stop"), at(20, "rank0", "own")], at(20, "rank0", "own"),
            id="of each rank its latest counts: what it said before the job started again is over",
        ),
        pytest.param(["README", "x-rank0-own.json", ".draft.tmp", RAISES], RAISES, id="other files are passed over"),
    ],
)  # fmt: skip
def test_the_first_cause(names, first):
    assert first_cause(names) == first
    assert first_cause(reversed(names)) == first


def test_a_name_is_one_that_every_store_takes():
    assert RAISES == "20261125T193001.000Z-rank3-own.json"


GLOO = (
    "[/x/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer [10.0.0.7]:642. This is typically"
)


def raised(how):
    try:
        how()
    except Exception as error:
        return error


def wrapped():
    try:
        raise RuntimeError(GLOO)
    except RuntimeError as error:
        raise ValueError("the epoch could not be finished") from error


def while_cleaning_up():
    try:
        raise RuntimeError(GLOO)
    finally:
        {}["state"]


@pytest.mark.parametrize(
    ("how", "lost"),
    [
        pytest.param(lambda: RuntimeError(GLOO), True, id="gloo"),
        pytest.param(lambda: RuntimeError(GLOO.replace("closed", "reset")), True, id="gloo, of a process that is killed"),
        pytest.param(lambda: raised(wrapped), True, id="an error that was made of one"),
        pytest.param(lambda: raised(while_cleaning_up), True, id="an error of the code that cleans up after one"),
        pytest.param(lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, id="torch's other errors"),
        pytest.param(lambda: ConnectionResetError("Connection reset by peer"), False, id="the step's own connection"),
        pytest.param(lambda: ValueError("x"), False, id="the step's own error"),
    ],
)  # fmt: skip
def test_what_says_that_a_peer_is_lost(how, lost):
    assert has_lost_a_peer(how()) is lost
