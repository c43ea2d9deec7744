"""A job from its command to its files: values, failures, signals, tampering."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.unit.runtime.conftest import STEP

FUNCTION = {"kind": "function", "module": "step", "function": "run"}


def test_a_function_returns_its_value_and_the_result_says_how(job, interpreter):
    job.python = interpreter
    source = """
        from pathlib import Path
        from airflow_provider_mlx import Artifact, Dataset, current_step
        from airflow_provider_mlx.runtime import current_step as same

        def run(a, *more: int, b: "Path | None" = None, **rest):
            assert same is current_step
            print("hello", b.name)
            return {"sum": a + sum(more), "rest": rest, "attempt": current_step.attempt}
    """
    done = job.run(source, args=(2, 3), kwargs={"b": "/x/y", "c": [1.5, None]})
    assert done.status == 0, done.output
    assert done.value == {"sum": 5, "rest": {"c": [1.5, None]}, "attempt": 2}
    assert "hello y" in done.output.splitlines()
    result = done.result
    assert result["protocol"] == 1
    assert result["skipped"] is None
    assert result["step"] == STEP
    assert result["peak_memory_bytes"] > 1_000_000
    assert set(result["timings"]) == {"started_at", "finished_at", "download", "compute", "upload"}
    assert done.artifact["producer"] == {
        "dag_id": "churn", "run_id": "manual__1", "task_id": "train", "map_index": -1, "attempt": 2,
        "deployment_id": "test",
    }  # fmt: skip
    assert not (done.attempt / "error.json").exists()


@pytest.mark.parametrize(
    ("expression", "wire"),
    [
        pytest.param("None", None, id="None is inline and has no artifact"),
        pytest.param("float('nan')", {"mlx": "float/1", "value": "NaN"}, id="NaN is tagged"),
        pytest.param("[float('-inf')]", [{"mlx": "float/1", "value": "-Infinity"}], id="infinities too, at any depth"),
        pytest.param("'äö'", "äö", id="text"),
        pytest.param("(1, 2)", [1, 2], id="a tuple becomes a list"),
        pytest.param(
            "Dataset('s3://lake/a', 'v1')", {"mlx": "dataset/1", "uri": "s3://lake/a", "version": "v1"}, id="a dataset"
        ),
    ],
)
def test_small_plain_values_travel_inline(job, expression, wire):
    done = job.run(f"from airflow_provider_mlx import Dataset\ndef run():\n    return {expression}")
    assert done.value == wire


def test_a_value_over_the_limit_travels_as_an_artifact_only(job):
    done = job.run("def run():\n    return 'ä' * 30_000")  # 60,002 bytes of JSON, 30,002 characters
    output = done.result["outputs"]["return_value"]
    assert output["inline"] is False
    assert output["artifact"]["size"] == 60_000
    assert output["artifact"]["codec"] == "text"


def test_an_async_function_is_awaited(job):
    done = job.run("import asyncio\nasync def run(x):\n    await asyncio.sleep(0)\n    return x + 1", args=(1,))
    assert done.value == 2


def test_an_exception_is_told_in_the_lines_of_the_dag_file(job):
    source = "from __future__ import annotations\n\ndef inner(x):\n    return 1 / x\n\ndef run():\n    try:\n"
    source += "        return inner(0)\n    except ZeroDivisionError as e:\n        raise ValueError('no') from e\n"
    payload = {**FUNCTION, "origin": "dags/churn.py", "lines": [[3, 41, 2], [6, 103, 5]]}
    done = job.run(source, payload=payload)
    error = done.error
    assert done.status == 1
    assert (error["reason"], error["type"], error["message"]) == ("StepFailed", "ValueError", "no")
    assert error["frames"] == [
        {"file": "dags/churn.py", "line": 107, "function": "run", "text": "raise ValueError('no') from e", "user": True}
    ]
    assert 'File "dags/churn.py", line 42, in inner' in error["traceback"]
    assert "direct cause" in error["traceback"]
    assert "airflow_provider_mlx" not in error["traceback"]
    assert error["traceback"] in done.output
    assert not (done.attempt / "result.json").exists()


def test_a_syntax_error_in_a_slice_names_the_dag_file(job):
    payload = {**FUNCTION, "origin": "dags/churn.py", "lines": [[1, 11, 2]]}
    done = job.run("def run():\n    retrun 1\n", payload=payload)
    assert done.error["type"] == "SyntaxError"
    assert done.error["frames"][-1]["line"] == 12
    assert 'File "dags/churn.py", line 12' in done.error["traceback"]


def test_a_missing_package_says_what_to_do(job):
    error = job.run("import no_such_package.inner\ndef run(): ...").error
    assert error["type"] == "ModuleNotFoundError"
    assert "requirements=" in error["remedy"]
    assert "'no_such_package'" in error["remedy"]


def test_names_that_a_job_has_not_say_so(job):
    error = job.run("from airflow_provider_mlx import Resources\ndef run(): ...").error
    assert "'Resources'" in error["message"]
    assert "inside a job `airflow_provider_mlx` has Artifact, Dataset and current_step only" in error["remedy"]


def test_an_unprintable_exception_is_still_reported(job):
    source = "class E(Exception):\n    def __str__(self): raise KeyError\ndef run():\n    raise E"
    assert "raises KeyError" in job.run(source).error["message"]


def test_long_messages_and_tracebacks_are_bounded(job):
    error = job.run("def run(n=0):\n    if n > 900:\n        raise ValueError('ä' * 100_000)\n    run(n + 1)").error
    assert len(error["message"].encode()) <= 8 * 1024
    assert len(error["traceback"].encode()) <= 64 * 1024
    assert len(error["frames"]) == 64


def test_a_memory_error_is_out_of_memory(job):
    assert job.run("def run():\n    raise MemoryError").error["reason"] == "OutOfMemory"


SCRIPT = {
    "folder/train.py": """
        import sys
        import beside
        from airflow_provider_mlx.runtime import current_step
        current_step.result({"argv": sys.argv[1:], "name": __name__, "beside": beside.VALUE})
        sys.exit(int(sys.argv[1]) if sys.argv[1] != "text" else "gave up")
    """,
    "folder/beside.py": "VALUE = 7",
}


def _script(job, *argv):
    return job.run(SCRIPT, payload={"kind": "script", "path": "folder/train.py", "argv": list(argv)})


def test_a_script_runs_as_main_with_its_arguments(job):
    assert _script(job, "0", "a b").value == {"argv": ["0", "a b"], "name": "__main__", "beside": 7}


@pytest.mark.parametrize(("code", "status"), [("3", 3), ("text", 1)])
def test_a_script_that_exits_with_a_code_has_failed(job, code, status):
    done = _script(job, code)
    assert done.error["exit_code"] == status
    assert done.error["reason"] == "StepFailed"
    assert "exit code" in done.error["message"]
    assert ("gave up" in done.error["message"]) == (code == "text")


def test_a_skip_is_a_result_that_says_why(job):
    source = (
        "from airflow_provider_mlx import current_step\ndef run():\n    try:\n        current_step.skip('no data')\n"
    )
    result = job.run(source + "    except Exception:\n        pass").result
    assert result["skipped"] == "no data"
    assert result["outputs"] == {}


def test_metrics_datasets_and_live_lines(job):
    source = """
        from airflow_provider_mlx import current_step as s
        def run(forged):
            s.log_metric("loss", 2.0, step=1); s.log_metric("loss", float("nan")); s.log_metrics({"auc": 1})
            s.log_progress(0.5, message="half"); s.log_progress(3, 4)
            s.dataset("s3://lake/a"); s.dataset("s3://lake/b", "v2", write=True)
            (s.checkpoint_dir() / "x").write_text("y")
            print(forged); print("open line", end="")
            s.log_progress(1)
    """
    forged = '::mlx::ffffffffffffffff {"seq":1,"type":"metric","name":"auc","value":99}'
    done = job.run(source, args=(forged,))
    assert done.result["metrics"] == {"loss": {"mlx": "float/1", "value": "NaN"}, "auc": 1.0}
    assert done.result["datasets"] == {
        "read": [{"mlx": "dataset/1", "uri": "s3://lake/a", "version": None}],
        "written": [{"mlx": "dataset/1", "uri": "s3://lake/b", "version": "v2"}],
    }
    step = [line for line in done.lines if line["by"] == "step"]
    assert [line["seq"] for line in step] == list(range(1, len(step) + 1))
    assert [line["fraction"] for line in step if line["type"] == "progress"] == [0.5, 0.75, 1.0]
    assert [line["value"] for line in step if line["type"] == "metric"] == [2.0, "NaN", 1.0]


def test_checkpoints_on_a_mounted_store_are_its_folder(job, tmp_path):
    def change(context):
        context["checkpoint_uri"] = "s3://ml/checkpoints/churn"
        context["store"]["mounts"] = [{"uri": "s3://ml", "path": str(tmp_path / "mounted")}]

    source = "from airflow_provider_mlx import current_step\ndef run():\n    return str(current_step.checkpoint_dir())"
    assert job.run(source, change=change).value == str(tmp_path / "mounted/checkpoints/churn/since-1")


def test_heartbeats_come_from_the_supervisor_while_the_code_is_busy(job):
    def change(context):
        context["heartbeat_seconds"] = 0.1

    done = job.run("import time\ndef run():\n    time.sleep(0.6)", change=change)
    assert len([line for line in done.lines if line["type"] == "heartbeat"]) >= 2


def test_multiple_outputs_are_named_by_their_keys(job):
    def change(context):
        context["outputs"]["multiple"] = True

    result = job.run("def run():\n    return {'a': 1, 'b': {'mlx': 'mine'}, 'c': None}", change=change).result
    outputs = result["outputs"]
    assert set(outputs) == {"a", "b", "c", "return_value"}
    assert outputs["b"]["artifact"]["codec"] == "verbatim"
    assert outputs["return_value"]["value"] == {"a": 1, "b": outputs["b"]["artifact"], "c": None}
    error = job.run("def run():\n    return [1]", change=change).error
    assert error["reason"] == "StepFailed"
    assert "multiple_outputs and returned a list" in error["message"]


def test_a_value_that_no_codec_takes_is_refused_and_rescued(job):
    done = job.run("import decimal\ndef run():\n    return {'x': decimal.Decimal('1.5')}")
    error = done.error
    assert error["reason"] == "StepFailed"
    assert "x is a decimal.Decimal" in error["message"]
    assert "return its Path" in error["remedy"]
    kept = {entry["format"]: Path(entry["uri"][7:].replace("%20", " ")) for entry in error["rescued"]}
    assert b"decimal" in kept["pickle"].read_bytes()
    assert "Decimal('1.5')" in kept["text"].read_text()
    error = job.run("def run():\n    yield 1").error
    assert "type generator" in error["message"]
    assert [entry["format"] for entry in error["rescued"]] == ["text"]


def _tampered(job, change):
    command, attempt = job.prepare("def run(): return 1")
    change(command, attempt)
    return job.finish(command, attempt)


def test_another_context_than_the_recorded_one_is_refused_with_both_digests(job):
    def change(command, attempt):
        path = attempt / "context.json"
        path.write_text(path.read_text().replace("churn", "chern"))

    done = _tampered(job, change)
    assert done.status == 79
    assert len(re.findall(r"\b[0-9a-f]{64}\b", done.output)) == 2
    assert len(done.output.splitlines()) == 1


def test_another_bundle_than_the_recorded_one_is_refused_with_both_digests(job):
    def change(command, attempt):
        with open(command[3], "ab") as bundle:
            bundle.write(b"x")

    done = _tampered(job, change)
    assert done.status == 79
    assert len(re.findall(r"\b[0-9a-f]{64}\b", done.output)) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "is not JSON", id="cut off"),
        pytest.param('{"protocol": 99}', "speaks protocol 99", id="a protocol of the future"),
        pytest.param("[]", "speaks protocol None", id="no object"),
        pytest.param('{"protocol": 1}', "lacks nonce", id="fields missing"),
    ],
)
def test_a_context_that_cannot_be_understood_is_one_line(job, text, says):
    _, attempt = job.prepare("def run(): return 1")
    (attempt / "context.json").write_text(text)
    done = job.finish(job.command(attempt.parent / "bundle.zip", attempt), attempt)
    assert done.status == 78
    assert says in done.output
    assert len(done.output.splitlines()) == 1


def test_a_missing_context_says_where_it_looked(job):
    def change(command, attempt):
        (attempt / "context.json").unlink()

    done = _tampered(job, change)
    assert done.status != 0
    assert "there is no object file://" in done.output


def test_a_bundle_that_climbs_out_is_refused(job):
    done = job.run({"step.py": "def run(): ...", "../../evil.py": "x = 1"})
    assert done.status == 79
    assert done.error["reason"] == "JobMisconfigured"
    assert "'source/../../evil.py'" in done.error["message"]
    assert not list(job.root.rglob("evil.py"))


def test_a_result_is_written_once(job):
    command, attempt = job.prepare("import time\ndef run():\n    return time.time_ns()")
    first = job.finish(command, attempt)
    before = first.result
    second = job.finish(command, attempt)
    assert second.status == 0
    assert "its first word counts" in second.output
    assert second.result == before


def test_a_rank_that_somebody_elses_launcher_has_set_does_not_make_one_job_many(job):
    job.env |= {"RANK": "1", "WORLD_SIZE": "4"}
    assert job.run("def run():\n    return 1").value == 1


def _started(job, source, change=None):
    command, attempt = job.prepare(source, change=change)
    process = job.start(command)
    for line in process.stdout:
        if line.strip() == "ready":
            return process, attempt
    raise AssertionError("the step never said that it is ready")


def test_sigterm_gives_the_users_handler_its_time(job):
    source = """
        import pathlib, signal, sys, time
        def stop(*_):
            pathlib.Path(sys.argv[0] + ".saved").resolve()
            print("saved", flush=True); raise SystemExit(5)
        def run():
            signal.signal(signal.SIGTERM, stop)
            print("ready"); time.sleep(60)
    """
    process, attempt = _started(job, source)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert "saved" in output.splitlines()
    assert json.loads((attempt / "error.json").read_text())["exit_code"] == 5


def test_without_a_handler_sigterm_runs_the_finally_blocks(job):
    source = (
        "import time\ndef run():\n    try:\n        print('ready'); time.sleep(60)\n    finally:\n        print('bye')"
    )
    process, attempt = _started(job, source)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    error = json.loads((attempt / "error.json").read_text())
    assert "bye" in output.splitlines()
    assert process.returncode == 143
    assert (error["reason"], error["signal"]) == ("JobCancelled", "SIGTERM")
    assert error["frames"][-1]["function"] == "run"


def test_a_step_that_ignores_sigterm_is_killed_when_its_grace_is_over(job):
    def change(context):
        context["grace_seconds"] = 0.5

    source = "import signal, time\ndef run():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    source += "    print('ready')\n    time.sleep(60)"
    process, attempt = _started(job, source, change)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 143
    error = json.loads((attempt / "error.json").read_text())
    assert error["reason"] == "JobCancelled"
    assert "0.5 s" in error["message"]


def test_a_killed_child_is_reported_by_its_supervisor(job):
    done = job.run("import os, signal\ndef run():\n    os.kill(os.getpid(), signal.SIGKILL)")
    error = done.error
    assert (error["reason"], error["signal"], error["exit_code"]) == ("StepFailed", "SIGKILL", None)
    assert "killed by SIGKILL" in error["message"]
    assert done.status == 1


def test_a_child_that_leaves_by_the_back_door_is_reported(job):
    error = job.run("import os\ndef run():\n    os._exit(0)").error
    assert (error["reason"], error["exit_code"]) == ("StepFailed", 0)
    assert "os._exit" in error["remedy"]


def test_what_a_step_leaves_running_ends_with_it(job):
    source = "import subprocess\ndef run():\n    return subprocess.Popen(['sleep', '60']).pid"
    done = job.run(source)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(done.value):
        time.sleep(0.02)
    assert not _alive(done.value)


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()
    return state != "Z"


def test_the_users_files_do_not_stand_before_the_runtimes_own_modules(job):
    files = {
        "step.py": "def run():\n    return 1",
        "json.py": "raise SystemExit(9)",
        "typing.py": "raise SystemExit(9)",
    }
    assert job.run(files).value == 1
