"""Reading a log piece by piece: whatever is cut where, every line arrives once and in order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.backends.kubernetes.logs import LineByLine, after_cursor, parse_lines, since_time

DAY = "2026-11-25T10:00:"


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        pytest.param(f"{DAY}00.000000001Z one\n{DAY}00.000000002Z two\n", ["one", "two"], id="lines"),
        pytest.param(f"{DAY}00.1Z one\n{DAY}00.2Z tw", ["one"], id="a line that is not whole is left for the next time"),
        pytest.param(f"{DAY}00.1Z 10%\r20%\x0b\x0c\x1c\x85\u2028x\n", ["10%\r20%\x0b\x0c\x1c\x85\u2028x"],
                     id="only a newline ends a line"),
        pytest.param(f"{DAY}00.1Z \n{DAY}00.2Z\n", ["", ""], id="empty lines are lines"),
        pytest.param(f"{DAY}00.1Z  indented\n", [" indented"], id="one space belongs to the time"),
        pytest.param(f"rest of a long line\n{DAY}00.1Z one\n", ["one"], id="the rest of a line that was taken before"),
        pytest.param("unable to retrieve container logs for containerd://abc\n", [], id="the kubelet's own words"),
        pytest.param(f"{DAY}00.1Z {DAY}00.2Z two times\n", [f"{DAY}00.2Z two times"], id="a line that begins with a time"),
        pytest.param("2026-13-45T10:00:00Z x\n", [], id="no time"),
        pytest.param("", [], id="nothing"),
    ],
)  # fmt: skip
def test_the_lines_of_an_answer(answer, texts):
    assert [line.text for line in parse_lines(answer.encode())] == texts


def test_a_last_line_without_a_newline_is_whole_when_the_container_is_over():
    assert [line.text for line in parse_lines(f"{DAY}00.1Z last words".encode(), over=True)] == ["last words"]


def test_what_is_no_utf_8_is_replaced():
    assert parse_lines(f"{DAY}00.1Z ".encode() + b"\xff\xfe\n")[0].text == "\ufffd\ufffd"


def test_times_of_another_zone_and_precision_are_the_same_moment():
    utc, berlin, short = parse_lines(
        b"2026-11-25T10:00:00.500000000Z a\n2026-11-25T11:00:00.500000000+01:00 b\n2026-11-25T10:00:00.5Z c\n"
    )
    assert utc.time == berlin.time == short.time


@pytest.mark.parametrize(
    ("cursor", "since"),
    [
        pytest.param("", None, id="the whole log"),
        pytest.param(f"{DAY}05.999999999Z,1", f"{DAY}04Z", id="whole seconds, and one before"),
        pytest.param("2026-11-25T11:00:05.000000000+01:00,1", f"{DAY}04Z", id="in UTC"),
        pytest.param("2026-11-25T00:00:00.000000000Z,7", "2026-11-24T23:59:59Z", id="across midnight"),
    ],
)
def test_from_when_to_ask(cursor, since):
    assert since_time(cursor) == since


@pytest.mark.parametrize("cursor", ["17", "x,1", f"{DAY}00Z", f"{DAY}00Z,x", f"{DAY}00Z,-1", "2026-11-25,1"])
def test_another_backends_cursor_is_refused(cursor):
    with pytest.raises(ValueError, match="is no place in a log"):
        after_cursor(b"", cursor)


def test_a_cursor_names_the_last_line_and_how_many_of_its_time_were_taken():
    answer = f"{DAY}01.5Z a\n{DAY}01.5Z b\n{DAY}02Z c\n".encode()
    assert after_cursor(answer, "").cursor == f"{DAY}02.000000000Z,1"
    assert after_cursor(answer[:-1], "").cursor == f"{DAY}01.500000000Z,2"
    assert after_cursor(answer, f"{DAY}01.500000000Z,1").lines == ("b", "c")
    assert after_cursor(answer, f"{DAY}01.500000000Z,2").lines == ("c",)


def test_nothing_new_keeps_the_cursor():
    assert after_cursor(f"{DAY}01Z a\n".encode(), f"{DAY}01.000000000Z,1") == after_cursor(b"", f"{DAY}01.000000000Z,1")


def test_after_a_rotation_what_is_still_there_and_not_older_is_new():
    rotated = f"{DAY}02Z c\n{DAY}03Z d\n".encode()
    assert after_cursor(rotated, f"{DAY}01.000000000Z,1").lines == ("c", "d")
    assert after_cursor(rotated, f"{DAY}02.000000000Z,2").lines == ("c", "d")  # the other may have been rotated away
    assert after_cursor(rotated, f"{DAY}02.000000000Z,1").lines == ("d",)
    assert after_cursor(rotated, f"{DAY}09.000000000Z,1").lines == ()


# --- a log as a kubelet serves it ------------------------------------------------------------------------------------

BEGIN = int(datetime(2026, 11, 25, 10, tzinfo=UTC).timestamp()) * 10**9


def stamp(time):
    return f"{datetime.fromtimestamp(time // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z"


@st.composite
def logs(draw):
    """Lines with their times: often equal, and out of order by up to half a second."""
    steps = st.sampled_from([0, 0, 1, 999_999_999, 10**9, 300_000_000])
    jitter = st.sampled_from([0, 0, 0, -1, -500_000_000])
    time, lines = BEGIN, []
    for _ in range(draw(st.integers(1, 25))):
        time += draw(steps)
        lines.append((time + draw(jitter), draw(st.text("ab \r\u2028é", max_size=4))))
    return lines


def serve(lines, cursor, upto):
    """What the log API answers: lines from ``sinceTime`` on, of a file that has grown to so many bytes."""
    since = since_time(cursor)
    begin = int(datetime.fromisoformat(since).timestamp()) * 10**9 if since else 0
    file = [f"{stamp(time)} {text}\n".encode() for time, text in lines]
    answer, written = b"", 0
    for (time, _), raw in zip(lines, file, strict=True):
        there = raw[: max(0, upto - written)]
        written += len(raw)
        answer += there if time >= begin else b""
    return answer


@given(lines=logs(), cuts=st.lists(st.integers(0, 1_500), max_size=12))
def test_whatever_is_cut_where_every_line_arrives_once_and_in_order(lines, cuts):
    cursor, taken = "", []
    for upto in [*sorted(cuts), 10**9, 10**9]:
        chunk = after_cursor(serve(lines, cursor, upto), cursor)
        taken += chunk.lines
        cursor = chunk.cursor
    assert taken == [text for _, text in lines]


@given(lines=logs(), cut=st.integers(0, 1_500))
def test_the_end_of_a_container_that_ended_within_a_line_is_not_lost(lines, cut):
    whole = b"".join(f"{stamp(time)} {text}\n".encode() for time, text in lines)
    head = after_cursor(whole[:cut], "")
    rest = after_cursor(serve(lines, head.cursor, len(whole) - 1), head.cursor, over=True)
    assert [*head.lines, *rest.lines] == [text for _, text in lines]


@given(lines=logs(), cut=st.integers(0, 1_500), again=st.integers(0, 25))
def test_followed_from_any_cursor_every_line_arrives_once_and_in_order(lines, cut, again):
    cursor, taken = "", []
    head = after_cursor(serve(lines, "", cut), "")
    taken, cursor = [*head.lines], head.cursor
    for upto in (again, len(lines)):  # the connection breaks in between
        following = LineByLine(cursor)
        for raw in serve(lines[: max(upto, len(taken))], cursor, 10**9).split(b"\n")[:-1]:
            taken += following.take(raw)
        cursor = following.cursor
    assert taken == [text for _, text in lines]


def test_a_followed_log_that_was_rotated_begins_with_what_is_not_older():
    following = LineByLine(f"{DAY}02.000000000Z,2")
    raw = [f"{DAY}02.000000000Z c", f"{DAY}02.500000000Z d", f"{DAY}04.000000000Z e"]
    assert [following.take(one.encode()) for one in raw] == [[], [], ["c", "d", "e"]]
