"""Values between plain tasks and steps, on default configurations of Airflow 2.11 and 3.3: no allow-list is widened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.harness import AIRFLOW_2, DAGS, DEMO, Drive, Home, Lab, Run, attempts

REQUESTS = (
    "passing",
    "mapping",
    "references",
    "artifacts",
    "saving",
    "keys",
    "mapped_over_too_much",
    ("elsewhere", {"passing": "run:passing", "references": "run:references"}),
)
AIRFLOWS = {"3.3": DEMO, "2.11": AIRFLOW_2}


@pytest.fixture(scope="module")
def drives(make_home: Callable[..., Home]) -> Iterator[Mapping[str, Drive]]:
    """The same DAGs on both Airflows, side by side."""
    drives = {
        version: Drive(make_home(f"xcom-{version}", DAGS / "xcom", environment=environment), *REQUESTS)
        for version, environment in AIRFLOWS.items()
    }
    yield drives
    for drive in drives.values():
        drive.stop()


@pytest.fixture(params=AIRFLOWS)
def finished(drives: Mapping[str, Drive], request: pytest.FixtureRequest, show: Callable[[Any], Any]) -> Any:
    """Gives a DAG's run; its log is shown if the test fails."""
    return lambda dag_id: show(drives[request.param][dag_id])


@pytest.mark.parametrize("version", AIRFLOWS)
def test_no_allow_list_is_set(drives: Mapping[str, Drive], version: str) -> None:
    home = drives[version].home
    assert not any("ALLOWED" in name for name in home.env)
    code = "from airflow.configuration import conf; print(conf.get('core', 'allowed_deserialization_classes'))"
    done = home.run("python", "-c", code)
    assert done.stdout.split()[-1] == "airflow.*", done.tail()


def test_step_to_task_and_back(finished: Callable[[str], Run]) -> None:
    run = finished("passing")
    assert run.state == "success"
    assert [run.xcom(task) for task in ("numbers", "total", "double")] == [[1, 2, 3], 6, 12]
    assert run.xcom("is_none") is True


def test_a_pull_from_another_dag(finished: Callable[[str], Run]) -> None:
    run = finished("elsewhere")
    assert run.state == "success"
    assert (run.xcom("pull"), run.xcom("use")) == (6, 106)
    assert run.xcom("pull_frame")["producer"]["dag_id"] == "references"
    assert run.xcom("rows") == 2


def test_expand_over_lists_of_steps_and_tasks(finished: Callable[[str], Run]) -> None:
    run = finished("mapping")
    assert run.state == "success"
    assert [run.xcom(f"square[{index}]") for index in range(2)] == [[0, 9], [1, 16]]
    assert [run.xcom(f"square_plain[{index}]") for index in range(2)] == [[0, 1], [1, 4]]
    assert [run.xcom(f"negate[{index}]") for index in range(2)] == [-3, -4]
    assert run.xcom("gather") == [9, 16]


def test_a_frame_goes_by_reference(finished: Callable[[str], Run]) -> None:
    run = finished("references")
    assert run.state == "success"
    frame = run.xcom("frame")
    assert (frame["mlx"], frame["codec"], frame["type"]) == ("artifact/1", "parquet", "pandas.DataFrame")
    assert run.xcom("frame", "mlx_artifacts") == {"return_value": frame}
    assert run.xcom("column_sum") == 4.0


def test_nan_and_infinities_arrive(finished: Callable[[str], Run]) -> None:
    run = finished("references")
    tags = [{"mlx": "float/1", "value": name} for name in ("NaN", "Infinity", "-Infinity")]
    assert run.xcom("odd_floats") == [*tags, 1.5]
    assert run.xcom("odd_floats_again") == ["nan", "inf", "-inf", "1.5"]


def test_large_json_becomes_a_reference_and_arrives_whole(finished: Callable[[str], Run]) -> None:
    run = finished("artifacts")
    assert run.state == "success"
    reference = run.xcom("large")
    assert (reference["mlx"], reference["codec"]) == ("artifact/1", "json")
    assert reference["size"] > 60 * 1024
    first, last = f"{0:059d}é", f"{999:059d}é"
    assert run.xcom("check_large") == ["list", 1000, first, last]
    assert run.xcom("load_large") == ["json", "list", 1000, last]


def test_a_plain_task_loads_data_and_no_model(finished: Callable[[str], Run]) -> None:
    run = finished("artifacts")
    assert run.xcom("load_text") == ["text", 50_000, "äää"]
    assert run.xcom("predict") == pytest.approx(5.0)
    refusal = run.xcom("refuse_model")
    assert "Airflow processes do not load models" in refusal
    assert "hand the reference to a step" in refusal
    assert "a float is no artifact reference" in run.xcom("refuse_value")


def test_what_a_plain_task_saves_arrives_in_a_step(finished: Callable[[str], Run]) -> None:
    run = finished("saving")
    assert run.xcom("use_saved") == [102_400, 255, "short"]
    reference = run.xcom("saved")["bytes"]
    assert (reference["producer"]["task_id"], reference["codec"], reference["name"]) == ("saved", "bytes", "bytes")


def test_keys_of_a_dict_are_pulled_one_by_one(finished: Callable[[str], Run]) -> None:
    run = finished("keys")
    assert run.state == "success"
    assert [run.xcom("split", key) for key in ("count", "name", "parts")] == [7, "seven", [3, 4]]
    assert run.xcom("from_annotation", "accuracy") == 0.5
    assert run.xcom("in_a_step") == 8
    assert run.xcom("in_a_task") == ["seven", [3, 4], 0.5]
    assert run.xcom("whole") == ["count", "name", "parts"]
    assert set(run.xcom("split", "mlx_artifacts")) == {"count", "name", "parts", "return_value"}


def test_a_reference_is_never_mapped_over(finished: Callable[[str], Run]) -> None:
    run = finished("mapped_over_too_much")
    assert run.state == "failed"
    assert run.states() == {"too_much": "failed", "never": "upstream_failed"}
    assert "a task downstream maps over the result, and it is not small plain JSON" in run.log
    assert "return a list of small values (ids, URIs, parameters)" in run.log
    assert ("too_much", "return_value") not in run.values


def test_every_stored_value_is_plain_json(drives: Mapping[str, Drive]) -> None:
    for drive in drives.values():
        for run in drive.runs().values():
            text = json.dumps(run.values_by_name())
            for mark in ("__classname__", "__class__", "airflow_provider_mlx"):
                assert mark not in text, (run.dag_id, mark)


@pytest.mark.parametrize("version", AIRFLOWS)
def test_one_job_per_step(drives: Mapping[str, Drive], version: str) -> None:
    plain = {"numbers", "double", "is_none", "plain_list", "negate[0]", "negate[1]", "pull", "pull_frame"}
    plain |= {"load_large", "load_text", "refuse_model", "refuse_value", "in_a_task", "saved", "whole", "never"}
    for run in drives[version].runs().values():
        steps = set(run.tasks) - plain
        assert len(attempts(drives[version].home.root, run.dag_id, run.run_id)) == len(steps), run.tail()


def test_the_rest_api_shows_plain_json(lab: Lab, show: Callable[[Any], Any]) -> None:
    run = show(lab.run("mixed_tasks"))
    reference = run.xcom("make_table")
    assert set(reference) == {
        "mlx", "uri", "sha256", "size", "codec", "type", "name", "version", "producer",
    }  # fmt: skip
    assert run.xcom("make_table", "mlx_artifacts") == {"return_value": reference}
    assert isinstance(run.xcom("summarize")["a"], float)


def test_a_scheduler_of_airflow_2_runs_steps(make_home: Callable[..., Home], show: Callable[[Any], Any]) -> None:
    home = make_home(
        "scheduler-2.11", DAGS / "scheduler211", environment=AIRFLOW_2, AIRFLOW__MLX__ALLOW_LOCAL="true",
        AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False", AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT="0",
        AIRFLOW__CORE__EXECUTOR="SequentialExecutor",
    )  # fmt: skip
    log = home.folder / "scheduler.log"
    scheduler = home.start("airflow", "scheduler", log=log)
    try:
        run = home.wait("back_and_forth", log=log)
        later = home.wait("on_the_dataset", log=log)
    finally:
        stop_group(scheduler)
    run.log += "\n".join(path.read_text()[-3000:] for path in sorted((home.folder / "logs").rglob("attempt=*.log")))
    show(run)
    assert run.state == "success"
    assert [run.xcom(task) for task in ("first", "second", "third")] == [{"value": 20}, 21, 42]
    assert {task.tries for task in run.tasks.values()} == {1}
    assert len(attempts(home.root, run.dag_id, run.run_id)) == 2
    assert show(later).state == "success"
    assert later.xcom("use") == {"value": 20}, "the artifact of the step whose event started the run"


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a scheduler and what it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
