"""Metrics with step numbers: from `log_metric` to the artifact `series`, whatever becomes of the step."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.codec_texts import load_series, save_series
from airflow_provider_mlx.runtime.refusals import ArtifactError
from airflow_provider_mlx.runtime.series import SeriesWriter
from airflow_provider_mlx.runtime.shown import Series
from tests.unit.runtime.conftest import SECOND_NODE

LOGS = """
    from airflow_provider_mlx.runtime import current_step
    def run(end="return 7"):
        for step, value in enumerate([2.0, float("nan"), float("-inf")]):
            current_step.log_metric("loss", value, step=step)
        current_step.log_metric("auc", 0.5)
        {end}
"""


def path_of(uri: str) -> Path:
    return Path(uri[7:].replace("%20", " "))


def points(path: Path) -> list[tuple]:
    return [(point["name"], point["step"], str(point["value"])) for point in load_series(path, "list")]


LOGGED = [("loss", 0, "2.0"), ("loss", 1, "nan"), ("loss", 2, "-inf")]


def test_metrics_with_step_numbers_become_the_output_series(job):
    done = job.run(LOGS.format(end="return 7"))
    assert done.value == 7
    assert done.result["metrics"] == {"loss": {"mlx": "float/1", "value": "-Infinity"}, "auc": 0.5}
    output = done.result["outputs"]["series"]
    assert (output["inline"], output["artifact"]["codec"], output["artifact"]["name"]) == (False, "series", "series")
    path = path_of(output["artifact"]["uri"])
    assert path == done.attempt / "outputs/series.jsonl"
    assert points(path) == LOGGED
    assert json.loads(path.read_text().splitlines()[1])["value"] == {"mlx": "float/1", "value": "NaN"}


def test_a_step_without_step_numbers_has_no_series(job):
    done = job.run(LOGS.replace(", step=step", "").format(end="return 7"))
    assert set(done.result["outputs"]) == {"return_value"}
    assert not (done.attempt / "outputs/series.jsonl").exists()


def multiple(context):
    context["outputs"]["multiple"] = True


def test_beside_several_outputs_the_series_is_one_more(job):
    done = job.run(LOGS.format(end="return {'a': 1}"), change=multiple)
    assert set(done.result["outputs"]) == {"a", "return_value", "series"}
    assert done.value == {"a": 1}


def test_an_output_of_the_steps_own_with_that_name_wins_and_the_series_is_rescued(job):
    done = job.run(LOGS.format(end="return {'series': 'mine'}"), change=multiple)
    assert done.result["outputs"]["series"]["value"] == "mine"
    assert points(done.attempt / "rescue/series.jsonl") == LOGGED
    assert "has an output named 'series'" in done.output


@pytest.mark.parametrize("end", ["raise ValueError('x')", "import os; os.kill(os.getpid(), 9)", "raise SystemExit(3)"])
def test_a_step_that_fails_or_is_killed_leaves_its_series_under_rescue(job, end):
    done = job.run(LOGS.format(end=end))
    assert done.error["reason"] == "StepFailed"
    assert points(done.attempt / "rescue/series.jsonl") == LOGGED


def test_another_rank_leaves_no_series(job):
    job.env |= SECOND_NODE
    done = job.run(LOGS.format(end="raise ValueError('x')"), change=lambda context: context.update(nodes=2))
    assert done.error["rank"] == 1
    assert not (done.attempt / "rescue").exists()


MILLION = """
import resource, sys
from pathlib import Path
from airflow_provider_mlx.runtime.codec_texts import save_series
from airflow_provider_mlx.runtime.series import SeriesWriter
from airflow_provider_mlx.runtime.shown import Series

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writer = SeriesWriter(Path(sys.argv[1]))
for step in range(300_000):
    writer.add("loss", step, step / 7)
with open(sys.argv[2], "wb") as sink:
    save_series(Series(Path(sys.argv[1])), sink)
print(next(iter(Series(Path(sys.argv[2]))))["step"], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_hundreds_of_thousands_of_points_take_little_memory_and_are_all_there(tmp_path):
    paths = [str(tmp_path / name) for name in ("series", "copy")]
    done = subprocess.run(
        [sys.executable, "-c", MILLION, *paths], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout.split()[1]) < 16, "MiB"
    assert Path(paths[1]).read_bytes().count(b"\n") == 300_000


def test_the_last_line_of_a_file_that_was_cut_is_left_out(tmp_path):
    (tmp_path / "series").write_bytes(b'{"name":"a","step":0,"value":1.0}\n{"name":"a","st')
    sink = io.BytesIO()
    save_series(Series(tmp_path / "series"), sink)
    assert sink.getvalue() == b'{"name":"a","step":0,"value":1.0}\n'


@pytest.mark.parametrize("line", [b"[1]\n", b"{\n", b'{"value":{"mlx":"float/9","value":"NaN"}}\n'])
def test_what_is_no_series_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "series").write_bytes(b'{"name":"a","step":0,"value":1.0}\n' + line)
    with pytest.raises(ArtifactError, match="line 2 is no point"):
        load_series(tmp_path / "series", "list")


def test_values_that_json_cannot_say_come_back(tmp_path):
    writer = SeriesWriter(tmp_path / "series")
    for value in (math.nan, math.inf, -math.inf, 1e308):
        writer.add("x", 1, value)
    found = [point["value"] for point in load_series(tmp_path / "series", "list")]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 1e308]
