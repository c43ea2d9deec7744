"""Hostile lines become lines of text; live lines of the runtime become sentences."""

from __future__ import annotations

import io
import json

import pytest

from airflow_provider_mlx.jobs import logs
from airflow_provider_mlx.jobs.logs import JobLog, harmless
from airflow_provider_mlx.runtime.lines import LineWriter

NONCE = "0123456789abcdef"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("plain ü 你 \N{ROCKET}", "plain ü 你 \N{ROCKET}", id="text stays"),
        pytest.param("a\tb", "a\tb", id="a tab stays"),
        pytest.param("\x1b[31mred\x1b[0m", "red", id="colours go"),
        pytest.param("\x1b]0;title\x07x", "0;titlex", id="a title is text"),
        pytest.param("\x9b31mred", "red", id="the other spelling of an escape"),
        pytest.param("\x1b[2J\x1b[Hgone", "gone", id="the screen is not cleared"),
        pytest.param("a\rb", "ab", id="nothing is overwritten"),
        pytest.param("a\x00\x08\x7fb", "ab", id="other controls go"),
        pytest.param("::group::fold", ": :group: :fold", id="Airflow's log page folds nothing"),
        pytest.param("::endgroup::", ": :endgroup: :", id="nor closes a fold"),
        pytest.param("end\r\n", "end", id="the line's end goes"),
    ],
)
def test_a_hostile_line(line, shown):
    assert harmless(line) == shown


def test_a_long_line_is_cut_and_says_so():
    shown = harmless("x" * 50_000)
    assert len(shown) < 17_000
    assert shown.endswith("… (50000 characters)")


def live(type, **fields):
    stream = io.StringIO()
    LineWriter(NONCE, stream).write(type, **fields)
    return stream.getvalue().rstrip("\n")


@pytest.fixture
def log():
    shown = []
    log = JobLog(nonce=NONCE, show=shown.append)
    log.shown = shown
    yield log
    log.close()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(live("log", message="::group::x"), [": :group: :x"], id="a message, made harmless"),
        pytest.param(live("metric", name="auc", value=0.9), ["metric auc = 0.9"], id="a metric"),
        pytest.param(
            live("metric", name="loss", value=1, step=3), ["metric loss = 1 (step 3)"], id="a metric of a step"
        ),
        pytest.param(live("progress", fraction=0.5, message="half"), ["progress 0.5 half"], id="progress"),
        pytest.param(live("heartbeat"), [], id="a heartbeat is not shown"),
        pytest.param(live("log", message="x").replace(NONCE, "f" * 16), None, id="another nonce is text"),
        pytest.param(f"::mlx::{NONCE} {{broken", None, id="a damaged line is text"),
    ],
)
def test_live_lines(log, line, shown):
    log.add([line])
    assert log.shown == ([line] if shown is None else shown)


def test_the_whole_log_is_kept_and_the_tail_is_short(log, tmp_path):
    lines = [f"line {number} ü" for number in range(3000)]
    log.add(lines[:10])
    log.add(lines[10:])
    kept = []
    log.save(lambda file: kept.append(file.read_text()))
    assert kept[0].splitlines() == lines
    assert log.tail == tuple(lines[-20:])
    log.add(["more"])
    log.save(lambda file: kept.append(file.read_text()))
    assert kept[1].splitlines() == [*lines, "more"], "saving does not disturb"


def test_a_lone_surrogate_does_not_break_the_log(log):
    log.add(["a\udcffb", json.dumps("ü")])
    log.save(lambda file: None)
    assert log.shown[0] == "a\udcffb"


def test_a_log_without_end_keeps_its_beginning_and_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr(logs, "HEAD_BYTES", 1000)
    monkeypatch.setattr(logs, "TAIL_BYTES", 500)
    monkeypatch.setattr(logs, "SHOWN_BYTES", 300)
    shown, kept = [], []
    log = logs.JobLog(nonce="n", show=shown.append)
    log.add(f"line {number:04}" for number in range(1000))
    log.save(lambda file: kept.append(file.read_text().splitlines()))
    log.close()
    lines = kept[0]
    assert lines[:100] == [f"line {number:04}" for number in range(100)]
    assert lines[-50:] == [f"line {number:04}" for number in range(950, 1000)]
    assert sum("bytes are left out here" in line for line in lines) == 1
    assert shown[-1].startswith("mlx: more than 300 bytes of log: the rest is not shown")
    assert len(shown) == 31
    assert log.lines == 1000
