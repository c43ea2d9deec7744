"""Cursors of a log in CloudWatch: every line once, in its order, from any cursor on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.backends.sagemaker.logs import Cursor, host_of, line_of


def events(*stamps: int) -> list[dict[str, object]]:
    return [{"timestamp": stamp, "message": f"line {number}"} for number, stamp in enumerate(stamps)]


def test_a_fresh_cursor_takes_everything():
    assert Cursor().take("algo-1-1", events(5, 5, 6)) == events(5, 5, 6)


def test_events_of_one_moment_are_counted():
    cursor = Cursor()
    cursor.take("algo-1-1", events(5, 5))
    assert str(cursor) == '{"algo-1-1": [5, 2]}'
    assert Cursor(str(cursor)).take("algo-1-1", events(5, 5, 5)) == events(5, 5, 5)[2:]


def test_what_comes_again_from_before_the_cursor_is_passed_over():
    cursor = Cursor()
    cursor.take("algo-1-1", events(5, 6))
    assert cursor.take("algo-1-1", events(5, 6, 6, 7)) == events(5, 6, 6, 7)[2:]


def test_streams_do_not_know_of_each_other():
    cursor = Cursor()
    cursor.take("algo-1-1", events(9))
    assert cursor.take("algo-2-1", events(3)) == events(3)


@given(
    st.lists(st.integers(1, 6), max_size=30).map(sorted),
    st.lists(st.integers(1, 4), min_size=1),
)
def test_however_the_reads_fall_every_line_comes_once(stamps, steps):
    whole, taken, text = events(*stamps), [], ""
    visible = 0
    while visible < len(whole):
        for step in steps:
            visible = min(visible + step, len(whole))
            cursor = Cursor(text)
            start = cursor.at("s").moment
            taken += cursor.take("s", [event for event in whole[:visible] if event["timestamp"] >= start])
            text = str(cursor)
    assert taken == whole


def test_of_several_instances_a_line_says_which_wrote_it():
    event = {"message": "loss 0.5", "timestamp": 1}
    assert line_of(event, "algo-2-1700000000") == "[algo-2] loss 0.5"
    assert line_of(event, "") == "loss 0.5"
    assert line_of({"message": "::mlx::abc {}"}, "algo-1-1700000000") == "::mlx::abc {}"
    assert host_of("algo-10-1700000000") == "algo-10"
