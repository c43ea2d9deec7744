"""The judge can fail: for every promise there is something seen that breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.judge import Expect, Seen, judge

RIGHT = Seen(
    jobs=1, at_once=1, finished=1, stops=0, results=1, orphans=0, state="success", tries=2, marker="first",
    value_is_of_a_job=True, seconds=5.0,
)  # fmt: skip


def test_one_job_and_one_result_are_right():
    assert judge(Expect(), RIGHT) == []


@pytest.mark.parametrize(
    ("expect", "change", "words"),
    [
        (Expect(), {"jobs": 2}, "2 jobs started"),
        (Expect(), {"jobs": 0}, "0 jobs started"),
        (Expect(), {"jobs": 2, "at_once": 2}, "2 jobs at once"),
        (Expect(), {"results": 2}, "2 results were collected"),
        (Expect(), {"results": 0}, "0 results were collected"),
        (Expect(), {"orphans": 1}, "1 jobs live on"),
        (Expect(), {"stops": 1}, "none should be"),
        (Expect(), {"state": "failed"}, "false red"),
        (Expect(), {"state": None}, "never got a final state"),
        (Expect(), {"state": "skipped"}, "wrong state"),
        (Expect(), {"marker": None}, "false green"),
        (Expect(), {"value_is_of_a_job": False}, "false green"),
        (Expect(tries=1), {}, "2 tries were spent"),
        (Expect(seconds=3), {}, "took 5 s"),
        (Expect(said="adopted"), {"said": False}, "does not say 'adopted'"),
        (Expect(jobs=2, marker="second"), {}, "1 jobs started"),
        (Expect(jobs=2, marker="second"), {"jobs": 2}, "of code 'first'"),
        (Expect(state="failed", results=0), {}, "false green"),
        (Expect(state="failed", stopped=True), {"state": "failed", "results": 0}, "no job was asked to stop"),
        (Expect(state="failed"), {"state": "failed"}, "1 results were collected, 0 to 0 are right"),
    ],
)
def test_what_is_wrong_is_said(expect, change, words):
    wrong = judge(expect, replace(RIGHT, **change))

    assert any(words in sentence for sentence in wrong), wrong


@pytest.mark.parametrize(
    ("expect", "change"),
    [
        (Expect(jobs=1, at_most=2), {"jobs": 2}),
        (Expect(jobs=2, results=2, marker="second"), {"jobs": 2, "results": 2, "marker": "second"}),
        (Expect(state="failed", stopped=True), {"state": "failed", "results": 0, "stops": 1, "marker": None}),
        (Expect(by_hand=True, stopped=True), {"results": 0, "stops": 1, "marker": None, "value_is_of_a_job": False}),
        (Expect(tries=2, seconds=5), {}),
        (Expect(state="failed", at_most_results=1), {"state": "failed", "marker": None}),
        (Expect(stopped=None), {"stops": 1}),
    ],
)
def test_what_a_row_allows_is_right(expect, change):
    assert judge(expect, replace(RIGHT, **change)) == []
