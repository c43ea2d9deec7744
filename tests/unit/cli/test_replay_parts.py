"""The parts of a replay that need no Airflow: its context, the lines that a debugger shows, the end of it."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from airflow_provider_mlx.cli.debug_driver import as_in_dag_file, frames_below, is_user_file
from airflow_provider_mlx.cli.recorded import Recorded
from airflow_provider_mlx.cli.replay_context import Folders, inputs_to_bring, replayed_context, variables_of_rank_0
from airflow_provider_mlx.cli.replay_report import compared, of_result, with_user_frames
from airflow_provider_mlx.cli.replay_run import environment, same_lines
from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.step.slicing import slice_function
from tests.unit.cli.test_recorded import ME, context_of, record_of

_DAG = '''\
from airflow.sdk import dag, task

SCALE = 2

def helper(value):
    return SCALE / value

@dag
def flow():
    @task.mlx
    def step(value: int) -> float:
        """Two
        lines."""
        return helper(
            value
        )
'''


def of(root: str, **changes: object) -> Recorded:
    data = context_of(root)
    return Recorded(ME, record_of(data), json.loads(data) | changes, None)


def artifact(uri: str) -> dict[str, object]:
    return {
        "mlx": "artifact/1", "uri": uri, "sha256": "a" * 64, "size": 1, "codec": "json", "type": "dict", "name": "x",
        "version": "a" * 12, "producer": {},
    }  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "work", tmp_path / "environments")


def test_results_go_into_a_folder_of_the_replay_and_arguments_stay(folders):
    recorded = of(
        "s3://lake/mlx",
        environment={"requirements": ["pandas"], "inherit": True, "cache": "/elsewhere", "wheelhouse": "s3://w/"},
    )
    context = replayed_context(recorded, folders, root="s3://mirror/mlx", allowed=["s3://lake/data/"])
    assert context["outputs"]["uri"] == folders.outputs.as_uri()
    assert context["checkpoint_uri"].startswith(folders.work.as_uri())
    assert context["arguments"] == recorded.context["arguments"]
    assert context["store"] == {
        "mounts": [{"uri": "s3://lake/mlx", "path": str(folders.objects)}],
        "allowed": ["s3://lake/mlx", "s3://lake/data/"],
    }
    assert context["environment"] == {
        "requirements": ["pandas"], "inherit": False, "cache": str(folders.environments),
    }  # fmt: skip


def test_a_replay_does_not_go_on_with_the_recorded_run_in_a_tracker(folders):
    recorded = of("s3://lake/mlx", tracking={"NEPTUNE_CUSTOM_RUN_ID": "a0123456789abcdef-1"})
    assert "tracking" not in replayed_context(recorded, folders, root="s3://lake/mlx", allowed=[])


def test_a_step_of_several_ranks_is_the_only_one_here(folders):
    recorded = of("s3://lake/mlx", nodes=4, launcher="torchrun")
    context = replayed_context(recorded, folders, root="s3://lake/mlx", allowed=[])
    assert (context["nodes"], context["launcher"]) == (1, "none")
    told = variables_of_rank_0(recorded)
    assert (told["RANK"], told["WORLD_SIZE"], told["MASTER_ADDR"]) == ("0", "1", "127.0.0.1")
    assert variables_of_rank_0(of("s3://lake/mlx")) == {}


def test_a_root_that_is_a_folder_is_read_where_it_is_mounted_here(folders):
    context = replayed_context(of("file:///data/mlx"), folders, root="file:///mnt/my%20share/mlx", allowed=[])
    assert context["store"]["mounts"] == [{"uri": "file:///data/mlx", "path": "/mnt/my share/mlx"}]


def test_inputs_of_a_bucket_are_brought(folders):
    given = {"args": [artifact("s3://lake/mlx/runs/x/outputs/y.json")], "kwargs": {}}
    (found,) = inputs_to_bring(of("s3://lake/mlx", arguments=given), folders, root="s3://mirror/mlx")
    assert (found.uri, found.path) == (
        "s3://mirror/mlx/runs/x/outputs/y.json",
        folders.objects / "runs/x/outputs/y.json",
    )
    assert inputs_to_bring(of("file:///d", arguments=given), folders, root="file:///d") == []


def test_an_input_outside_the_root_is_not_brought(folders):
    given = {"args": [artifact("s3://other/secret.json")], "kwargs": {}}
    with pytest.raises(ArtifactError, match="outside the artifact root"):
        inputs_to_bring(of("s3://lake/mlx", arguments=given), folders, root="s3://lake/mlx")


def test_the_slice_is_compiled_under_the_dag_files_name_and_lines(tmp_path):
    file = tmp_path / "flow.py"
    file.write_text(_DAG)
    line = _DAG.splitlines().index("    def step(value: int) -> float:") + 1
    cut = slice_function(_DAG, filename=str(file), qualname="flow.<locals>.step", first_line=line - 1, origin="flow.py")
    names: dict[str, object] = {"__name__": "mlx_step_source"}
    exec(as_in_dag_file(cut.text, cut.lines, str(file)), names)
    with pytest.raises(ZeroDivisionError) as raised:
        names["step"](0)
    frames = traceback.extract_tb(raised.value.__traceback__)[1:]
    assert [(frame.filename, frame.name, frame.line) for frame in frames] == [
        (str(file), "step", "return helper("),
        (str(file), "helper", "return SCALE / value"),
    ]
    assert same_lines(cut.text.split("\n"), _DAG.split("\n"), cut.lines)
    assert not same_lines(cut.text.split("\n"), _DAG.replace("SCALE = 2", "SCALE = 3").split("\n"), cut.lines)
    assert not same_lines(cut.text.split("\n"), ["short"], cut.lines)


def test_the_debugger_stands_at_the_users_last_line(tmp_path):
    file = tmp_path / "users.py"
    file.write_text("import json\ndef call():\n    json.loads('{')\n")
    names: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(ValueError, match="Expecting") as raised:
        names["call"]()
    assert frames_below(raised.value.__traceback__, is_user_file(str(file), tmp_path / "source")) == 3
    assert frames_below(raised.value.__traceback__, is_user_file("", tmp_path)) == 3, "a file that travelled with it"
    assert frames_below(raised.value.__traceback__, lambda name: False) == 0


def test_nothing_of_airflows_reaches_the_step(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "s3cr3t")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("HF_TOKEN", "mine")
    found = environment({"FROM_TARGET": "1"})
    assert "AIRFLOW__CORE__FERNET_KEY" not in found
    assert "PYTHONPATH" not in found
    assert (found["HF_TOKEN"], found["FROM_TARGET"]) == ("mine", "1")


def test_the_end_of_a_replay():
    result = {
        "outputs": {
            "return_value": {"inline": True, "value": {"a": 1}},
            "model": {"inline": False, "artifact": {"type": "M", "uri": "file:///tmp/o/model.skops"}},
        },
        "metrics": {"f1": 0.5},
        "timings": {"compute": 1.25},
    }
    assert of_result(result) == [
        "the step succeeded",
        '  return_value = {"a": 1}',
        "  model: M in /tmp/o/model.skops",
        "  metric f1 = 0.5",
        "  1.2 s in the step's own code",
    ]
    assert of_result({"skipped": "no data"}) == ["the step was skipped: no data"]
    before = Recorded(ME, record_of(b"{}"), {}, {"reason": "StepFailed", "type": "KeyError"})
    assert compared(before, "KeyError") == ["recorded: KeyError, as here"]
    assert compared(before, "result") == ["recorded: KeyError"]


def test_frames_of_the_dag_file_are_the_users_under_the_debugger():
    error = {"frames": [{"file": "/c/flow.py", "user": False}, {"file": "/lib/x.py", "user": False}]}
    assert [frame["user"] for frame in with_user_frames(error, Path("/c/flow.py"))["frames"]] == [True, False]
