"""The server's record, scripts and log chunks: pure parts."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.testing.remote.logs import read_lines
from airflow_provider_mlx.testing.remote.record import Record, RecordWriter
from airflow_provider_mlx.testing.remote.scripts import Script, Scripts, script_from


def events(*rows):
    return [
        {"event": kind, "time": float(time), "id": job, "name": f"mlx-{job}", "labels": {"run_id": "r"}, **facts}
        for time, kind, job, facts in rows
    ]


def ended(status="succeeded"):
    return {"status": status, "failure": None, "exit_code": 0}


def test_peaks_stops_and_orphans_are_counted_from_the_events():
    record = Record.of(
        events(
            (1, "created", "a", {}), (1, "started", "a", {}), (2, "created", "b", {}), (3, "ended", "a", ended()),
            (3, "created", "c", {}), (3, "started", "b", {}), (4, "duplicate_create", "c", {}),
            (5, "conflict", "c", {}), (6, "stop_requested", "b", {}), (7, "ended", "b", ended("stopped")),
        )
    )  # fmt: skip
    a, b, c = record.jobs
    assert (record.peak_active(), record.peak_running(), record.peak_active("mlx-c")) == (2, 1, 1)
    assert record.stops() == [b]
    assert record.created(run_id="r") == [a, b, c]
    assert record.created(run_id="other") == []
    assert record.active_at(6.5) == [b, c]
    assert record.orphans_at(6.5) == [c]
    assert record.orphans_at(2.5) == [a, b]
    assert (c.duplicates, c.conflicts, c.ended) == (1, 1, None)


def test_a_line_that_is_half_written_is_not_read(tmp_path):
    path = tmp_path / "record.jsonl"
    assert Record.read(path).jobs == ()
    RecordWriter(path).add("created", name="a", id="1", labels={})
    with path.open("a") as file:
        file.write('{"event": "st')
    assert [job.name for job in Record.read(path).jobs] == ["a"]


def test_a_job_takes_the_first_script_for_each_part_of_its_life():
    scripts = Scripts()
    for script in (Script("preempt", "train", times=2), Script("no_capacity"), Script("slow_stop", times=-1)):
        scripts.add(script)
    taken = [scripts.take(name, spot=False) for name in ("train-1", "other-1", "train-2", "train-3")]
    fates = [of["fate"].then if "fate" in of else None for of in taken]
    assert fates == ["preempt", "no_capacity", "preempt", None]
    assert all("stop" in of for of in taken)


def test_a_script_may_be_for_spot_jobs_alone():
    scripts = Scripts()
    scripts.add(Script("preempt", spot=True, times=-1))
    assert [bool(scripts.take("a", spot=spot)) for spot in (False, True)] == [False, True]


@pytest.mark.parametrize("body", [{"then": "explode"}, {"then": "preempt", "where": "a"}, {}])
def test_a_script_that_is_none_is_refused(body):
    with pytest.raises(ValueError, match=r"explode|where|then"):
        script_from(body)


@pytest.mark.parametrize(
    ("text", "offset", "limit", "ended", "lines", "following"),
    [
        ("one\ntwo\nthr", 0, 100, False, ["one", "two"], 8),
        ("one\ntwo\nthr", 8, 100, False, [], 8),
        ("one\ntwo\nthr", 8, 100, True, ["thr"], 11),
        ("one\ntwo\nthree\n", 0, 10, False, ["one", "two"], 8),
        ("one\n\n\n", 4, 100, True, ["", ""], 6),
        ("a\x0cb\u2028c\n", 0, 100, False, ["a\x0cb\u2028c"], 8),
        ("ü" * 10, 0, 5, False, ["üü"], 4),
        ("\N{ROCKET}" * 3, 0, 1, False, ["\N{ROCKET}"], 4),
        ("", 0, 100, True, [], 0),
    ],
)
def test_a_log_comes_in_bounded_chunks_of_whole_lines(tmp_path, text, offset, limit, ended, lines, following):
    path = tmp_path / "log.txt"
    assert read_lines(path, offset, limit, ended=ended) == ([], offset)
    path.write_bytes(text.encode())
    assert read_lines(path, offset, limit, ended=ended) == (lines, following)
