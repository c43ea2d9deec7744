from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import format_duration, parse_duration
from airflow_provider_mlx.stacks.durations import LONGEST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90s", 90, id="seconds"),
        pytest.param("15m", 900, id="minutes"),
        pytest.param("4h", 14_400, id="hours"),
        pytest.param("2d", 172_800, id="days"),
        pytest.param("1h30m", 5_400, id="units can be added, the largest first"),
        pytest.param("1.5h", 5_400, id="a fraction of a unit"),
        pytest.param(" 4h ", 14_400, id="spaces around it do not matter"),
        pytest.param("PT4H", 14_400, id="ISO 8601 hours"),
        pytest.param("P1DT12H", 129_600, id="ISO 8601 days and hours"),
        pytest.param("P2D", 172_800, id="ISO 8601 days alone"),
        pytest.param("90", 90, id="a number in quotes is seconds"),
        pytest.param(90, 90, id="a whole number is seconds"),
        pytest.param(0.5, 0.5, id="a fraction of a second"),
        pytest.param(timedelta(hours=1), 3_600, id="a timedelta is taken as it is"),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        pytest.param("4:30", "`4:30` is not a duration", id="a clock is not a duration"),
        pytest.param("4 hours", "`4 hours` is not a duration", id="words are not units"),
        pytest.param("30m1h", "`30m1h` is not a duration", id="the smaller unit first is a slip"),
        pytest.param("P1Y", "`P1Y` is not a duration", id="a year has no fixed length"),
        pytest.param("PT", "`PT` is not a duration", id="ISO 8601 without a number"),
        pytest.param("P", "`P` is not a duration", id="ISO 8601 without anything"),
        pytest.param("", "`` is not a duration", id="nothing"),
        pytest.param("-4h", "`-4h` is not a duration", id="a negative text"),
        pytest.param(True, "`True` is not a duration", id="a truth is not one second"),
        pytest.param(None, "`None` is not a duration", id="none"),
        pytest.param(float("nan"), "`nan` is not a duration", id="not a number"),
        pytest.param("9" * 100, "`" + "9" * 40 + "…` is not a duration", id="an endless number"),
        pytest.param("٤h", "`٤h` is not a duration", id="digits of other scripts"),
        pytest.param(0, "`0` is not longer than zero", id="zero"),
        pytest.param(-1, "`-1` is not longer than zero", id="negative seconds"),
        pytest.param(-(10**400), "a huge number is not longer than zero", id="hugely negative"),
        pytest.param(1e-9, "`1e-09` is shorter than a microsecond", id="a nanosecond"),
        pytest.param(float("inf"), "`inf` is longer than 366 days", id="for ever"),
        pytest.param("367d", "`367d` is longer than 366 days", id="more than a year"),
        pytest.param(14_400_000_000, "`14400000000` is longer than 366 days", id="microseconds by mistake"),
    ],
)
def test_what_is_not_a_duration_is_refused(value, what):
    with pytest.raises(InvalidStep) as caught:
        parse_duration(value, field="max_runtime")
    (problem,) = caught.value.problems
    assert (problem.what, problem.field) == (what, "max_runtime")
    assert "write `90s`, `15m`" in problem.remedy


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=LONGEST))
def test_a_written_duration_is_read_back(duration):
    assert abs(parse_duration(format_duration(duration)) - duration) <= timedelta(microseconds=1)


@given(st.text() | st.floats() | st.integers() | st.from_regex(r"[PTDHMSdhms0-9.]*", fullmatch=True))
def test_any_value_is_a_duration_or_refused(value):
    try:
        duration = parse_duration(value)
    except InvalidStep:
        return
    assert timedelta(0) < duration <= LONGEST


def test_zero_is_written_with_a_unit():
    assert format_duration(timedelta(0)) == "0s"
