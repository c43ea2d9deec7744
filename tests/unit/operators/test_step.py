"""The three kinds of payload, arguments and results, each as a real local job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from airflow_provider_mlx.exceptions import InvalidStep, StepFailed
from tests.unit.runtime.test_environment import make_wheel

Execute = Callable[..., Any]
Load = Callable[..., dict[str, Any]]


def beside(task: Any, name: str, text: str) -> None:
    """Write a file beside the DAG file."""
    file = Path(task.dag.fileloc).parent / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_function_gets_its_arguments_and_the_names_of_the_run(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx(multiple_outputs=False)\n"
        "def step(a, b=2, *, ds, ts, run_id, logical_date, params, conf, map_index, try_number):\n"
        "    return [a, b, ds, ts, run_id, logical_date.isoformat(), params, conf, map_index, try_number]\n"
        "step({'x': [1, None, 'é']})"
    )
    ti = execute(load(body)["step"], params={"p": 1})
    assert ti.result == [
        {"x": [1, None, "é"]}, 2, "2026-01-02", "2026-01-02T03:04:05+00:00", "run", "2026-01-02T03:04:05+00:00", {"p": 1},
        {}, -1, 1,
    ]  # fmt: skip


def test_the_attempts_folder_is_a_link_where_the_stack_says_how(load: Load, execute: Execute) -> None:
    stacks = (
        "default: one\nstacks:\n  one:\n    artifacts: {browse: 'https://files.test/?at={uri}'}\n"
        "    targets: {default: {backend: local}}\n"
    )
    ti = execute(load("@task.mlx\ndef step():\n    return 1\nstep()", stacks=stacks)["step"])
    assert ti.pushed["mlx_folder_link"].startswith("https://files.test/?at=file%3A%2F%2F")
    assert ti.pushed["mlx_folder_link"].endswith("%2Fruns%2Fdefault%2Fdag%2Frun%2Fstep%2F-1%2Fattempt-1")
    assert [link.get_link(ti.task, ti_key=None) for link in ti.task.operator_extra_links] == [
        "", ti.pushed["mlx_folder_link"],
    ]  # fmt: skip


FITTED = """
from typing import Annotated, ClassVar, NamedTuple
from pathlib import Path
from airflow_provider_mlx import Metrics, Model

class Fitted(NamedTuple):
    weights: Annotated[Path, Model("churn")]
    scores: Metrics
    text: str

@task.mlx
def fit() -> Fitted:
    Path("w.bin").write_bytes(b"weights")
    return Fitted(Path("w.bin"), {"auc": 0.75}, "x" * 60_000)

@task.mlx
def use(weights: Path, text: str, auc: float):
    return [weights.read_bytes().decode(), len(text), auc]

@task.mlx
def use_all(fitted: Fitted):
    return [type(fitted).__name__, fitted.weights.name, fitted.scores, len(fitted.text)]

fitted = fit()
use(fitted["weights"], fitted["text"], fitted["scores"])
use_all(fitted)
"""


def test_the_fields_of_a_class_are_outputs_without_a_further_word(load: Load, execute: Execute) -> None:
    tasks = load(FITTED)
    made = execute(tasks["fit"])
    assert tasks["fit"].multiple_outputs is True
    assert made.result["scores"] == {"auc": 0.75}
    assert [made.result[name]["name"] for name in ("weights", "text")] == ["churn", "text"]
    assert made.pushed["mlx_metrics"] == {"auc": 0.75}
    assert set(made.pushed["mlx_artifacts"]) == {"weights", "scores", "text", "return_value"}
    used = tasks["use_all"]
    used.op_args = [made.result]
    assert execute(used).result == ["Fitted", "weights.bin", {"auc": 0.75}, 60_000]


def test_a_dataset_is_passed_by_reference_and_may_be_returned(load: Load, execute: Execute, airflow_home: Path) -> None:
    data = airflow_home / "mlx" / "data.csv"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("a,b\n1,2\n")
    body = (
        "@task.mlx(multiple_outputs=False)\ndef step(raw: Dataset):\n"
        f"    return [type(raw).__name__, raw.uri, raw.version]\nstep(Dataset({data.as_uri()!r}, 'v1'))"
    )
    assert execute(load(body)["step"]).result == ["Dataset", data.as_uri(), "v1"]


def test_a_script_runs_with_its_folder_and_arguments(load: Load, execute: Execute) -> None:
    tasks = load("MlxStepOperator(task_id='step', script='main.py', source='code', argv=['--n', '3'])")
    beside(tasks["step"], "code/main.py", (
        "import sys\nfrom lib.numbers import triple\nfrom airflow_provider_mlx.runtime import current_step\n"
        "assert __name__ == '__main__'\ncurrent_step.result({'argv': sys.argv[1:], 'value': triple(int(sys.argv[2]))})\n"
    ))  # fmt: skip
    beside(tasks["step"], "code/lib/__init__.py", "")
    beside(tasks["step"], "code/lib/numbers.py", "def triple(n):\n    return 3 * n\n")
    assert execute(tasks["step"]).result == {"argv": ["--n", "3"], "value": 9}


def test_an_entry_point_beside_the_dag_file_travels_with_what_it_imports(load: Load, execute: Execute) -> None:
    tasks = load(
        "MlxStepOperator(task_id='step', entrypoint='mine.work:run', arguments={'n': 2}, include=['mine/table.txt'])"
    )
    beside(tasks["step"], "mine/__init__.py", "")
    beside(tasks["step"], "mine/helper.py", "FACTOR = 21\n")
    beside(tasks["step"], "mine/table.txt", "hello")
    beside(tasks["step"], "mine/work.py", (
        "from pathlib import Path\nfrom .helper import FACTOR\n\n"
        "def run(n):\n    return [n * FACTOR, Path(__file__).with_name('table.txt').read_text()]\n"
    ))  # fmt: skip
    assert execute(tasks["step"]).result == [42, "hello"]


def test_a_failure_names_the_line_of_the_dag_file(load: Load, execute: Execute) -> None:
    body = "@task.mlx\ndef step(x):\n    y = x + 1\n    return 1 / (y - 1)\nstep(0)"
    with pytest.raises(StepFailed) as caught:
        execute(load(body)["step"])
    assert isinstance(caught.value, AirflowException)
    assert "the step failed in its own code: ZeroDivisionError: division by zero" in str(caught.value)
    assert "at dag_file.py:8, in step" in str(caught.value)
    assert (caught.value.reason, caught.value.attempt) == ("StepFailed", 1)


def test_a_skip_from_inside_the_job_skips_the_task(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx\ndef step():\n    from airflow_provider_mlx.runtime import current_step\n"
        "    current_step.skip('nothing new')\nstep()"
    )
    with pytest.raises(AirflowSkipException, match="nothing new"):
        execute(load(body)["step"])


def test_the_xcom_layout(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx(multiple_outputs=False)\ndef step():\n    from airflow_provider_mlx.runtime import current_step\n"
        "    current_step.log_metric('auc', 0.5)\n    return {'a': 1}\nstep()"
    )
    ti = execute(load(body)["step"])
    assert ti.result == {"a": 1}
    assert sorted(ti.pushed) == ["mlx_artifacts", "mlx_metrics"]
    assert ti.pushed["mlx_metrics"] == {"auc": 0.5}
    reference = ti.pushed["mlx_artifacts"]["return_value"]
    assert (reference["mlx"], reference["codec"], reference["name"]) == ("artifact/1", "json", "return_value")
    assert reference["producer"] == {
        "deployment_id": "default", "dag_id": "dag", "run_id": "run", "task_id": "step", "map_index": -1, "attempt": 1,
    }  # fmt: skip


def test_nothing_returned_is_nothing_pushed(load: Load, execute: Execute) -> None:
    ti = execute(load("@task.mlx\ndef step():\n    pass\nstep()")["step"])
    assert ti.result is None
    assert ti.pushed == {}


def test_a_users_own_key_mlx_is_data_and_never_a_reference(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx(multiple_outputs=False)\ndef make():\n    return {'mlx': 'artifact/1', 'uri': 'file:///etc/passwd'}\n"
        "@task.mlx(multiple_outputs=False)\ndef use(made):\n    return sorted(made.items())\nuse(make())"
    )
    tasks = load(body)
    made = execute(tasks["make"])
    assert made.result["mlx"] == "artifact/1"
    assert made.result["uri"].startswith("file:///") and "return_value" in made.result["uri"]
    tasks["use"].op_args = [made.result]
    assert execute(tasks["use"]).result == [["mlx", "artifact/1"], ["uri", "file:///etc/passwd"]]


def test_env_and_secrets_reach_the_job_and_only_the_job(
    load: Load, execute: Execute, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_TOKEN", "s3cr3t-c4nary")
    stacks = "default: s\nstacks: {s: {targets: {default: {backend: local, env: {A: target, B: target}, secrets: {hf: {env: THE_TOKEN}}}}}}"
    body = (
        "@task.mlx(env={'B': 'step'}, secrets={'HF_TOKEN': 'hf'}, multiple_outputs=False)\ndef step():\n    import os\n"
        "    return [os.environ['A'], os.environ['B'], len(os.environ['HF_TOKEN']), 'THE_TOKEN' in os.environ]\nstep()"
    )
    assert execute(load(body, stacks=stacks)["step"]).result == ["target", "step", 13, False]
    kept = [path for path in airflow_home.rglob("*") if path.is_file()]
    assert [path for path in kept if b"s3cr3t-c4nary" in path.read_bytes()] == []


def test_a_second_try_after_a_users_error_is_a_new_attempt(load: Load, execute: Execute, airflow_home: Path) -> None:
    marker = airflow_home / "marker"
    body = (
        f"@task.mlx(retries=1)\ndef step():\n    from pathlib import Path\n    marker = Path({str(marker)!r})\n"
        "    if not marker.exists():\n        marker.touch()\n        raise ValueError('once')\n    return 'twice'\nstep()"
    )
    task = load(body)["step"]
    with pytest.raises(StepFailed):
        execute(task, try_number=1, max_tries=1)
    assert execute(task, try_number=2, max_tries=1).result == "twice"
    assert len(list(airflow_home.rglob("attempt-*"))) == 2


def test_a_finished_attempt_is_collected_and_not_run_again_by_an_automatic_retry(
    load: Load, execute: Execute, airflow_home: Path
) -> None:
    count = airflow_home / "count"
    body = f"@task.mlx(retries=1)\ndef step():\n    open({str(count)!r}, 'a').write('x')\n    return 1\nstep()"
    task = load(body)["step"]
    execute(task, try_number=1, max_tries=1)
    assert execute(task, try_number=2, max_tries=1).result == 1
    assert count.read_text() == "x"


def test_a_clear_runs_the_step_again(load: Load, execute: Execute, airflow_home: Path) -> None:
    count = airflow_home / "count"
    body = f"@task.mlx(retries=1)\ndef step():\n    open({str(count)!r}, 'a').write('x')\n    return 1\nstep()"
    task = load(body)["step"]
    execute(task, try_number=1, max_tries=1)
    execute(task, try_number=2, max_tries=2)
    assert count.read_text() == "xx"


def test_an_argument_by_position_that_is_named_like_something_of_the_run_is_the_callers(
    load: Load, execute: Execute
) -> None:
    body = "@task.mlx(multiple_outputs=False)\ndef step(conf, params, ds=None):\n    return [conf, params, ds]\nstep({'a': 1}, {'b': 2})"
    assert execute(load(body)["step"]).result == [{"a": 1}, {"b": 2}, "2026-01-02"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            "MlxStepOperator(task_id='step', script='main.py', skip_on_exit_code=99)", id="a script"
        ),
        pytest.param(
            "@task.mlx(skip_on_exit_code=[7, 99])\ndef step():\n    import os\n    os._exit(99)\nstep()",
            id="a process that ends without a word",
        ),
    ],
)  # fmt: skip
def test_an_exit_code_skips_the_task(load: Load, execute: Execute, body: str) -> None:
    tasks = load(body)
    beside(tasks["step"], "main.py", "import sys\nsys.exit(99)\n")
    with pytest.raises(AirflowSkipException, match="exit code 99"):
        execute(tasks["step"])


def test_another_exit_code_fails_the_task(load: Load, execute: Execute) -> None:
    tasks = load("MlxStepOperator(task_id='step', script='main.py', skip_on_exit_code=99)")
    beside(tasks["step"], "main.py", "import sys\nsys.exit(98)\n")
    with pytest.raises(StepFailed, match="exit code 98"):
        execute(tasks["step"])


def test_a_series_of_metrics_is_one_more_artifact_and_changes_no_return_value(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx(multiple_outputs=True)\ndef step():\n    from airflow_provider_mlx.runtime import current_step\n"
        "    current_step.log_metric('loss', 0.5, step=1)\n    return {'a': 1}\nstep()"
    )
    ti = execute(load(body)["step"])
    assert ti.result == {"a": 1}
    assert sorted(ti.pushed["mlx_artifacts"]) == ["a", "return_value", "series"]
    assert ti.pushed["mlx_metrics"] == {"loss": 0.5}


def test_a_requirements_file_beside_the_dag_is_installed_from_the_targets_wheelhouse(
    load: Load, execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    wheels = tmp_path / "mlx" / "wheels"
    wheels.mkdir(parents=True)
    wheel = make_wheel(wheels, "tiny", "0.3")
    stacks = (
        f"default: s\nstacks: {{s: {{artifacts: {{root: '{(tmp_path / 'mlx').as_uri()}'}},"
        f" targets: {{default: {{backend: local, wheelhouse: '{wheels.as_uri()}'}}}}}}}}\n"
    )
    body = "@task.mlx(requirements='requirements.txt')\ndef step():\n    import tiny\n    return tiny.VERSION\nstep()"
    step = load(body, stacks=stacks)["step"]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    beside(step, "requirements.txt", f"tiny==0.3 \\\n    --hash=sha256:{digest}\n")
    assert execute(step).result == "0.3"
    beside(step, "requirements.txt", "tiny==0.3\n--editable ./here\n")
    with pytest.raises(InvalidStep, match=r"requirements\.txt:2: `--editable` has no meaning in a job"):
        execute(step, run_id="another")
