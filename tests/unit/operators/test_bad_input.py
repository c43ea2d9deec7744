"""Bad input: one clear error, before anything is submitted. Each test holds a user's mistake against the text they see."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, ResultMissing, StepFailed

Execute = Callable[..., Any]
Load = Callable[..., dict[str, Any]]

STEP = "@task.mlx{options}\ndef step({parameters}):\n    return {value}\nstep({arguments})"


def step(*, options: str = "", parameters: str = "", value: str = "1", arguments: str = "") -> str:
    return STEP.format(options=options, parameters=parameters, value=value, arguments=arguments)


def jobs(home: Path) -> list[Path]:
    """Every job that was ever started: the backend's own record."""
    return sorted(home.rglob("jobs/*/request.json")) + sorted(home.rglob("attempt-*"))


@pytest.mark.parametrize(
    ("options", "stacks", "expected"),
    [
        pytest.param(
            '(stack="prd")', "stacks: {prod: {targets: {default: {backend: local}}}}",
            ["there is no stack `prd`", "did you mean `prod`?", "the stacks are: `local`, `prod`"],
            id="an unknown stack names the nearest, and all",
        ),
        pytest.param(
            '(target="gpus")', "default: s\nstacks: {s: {targets: {default: {backend: local}, gpu: {backend: local}}}}",
            ["there is no target `gpus` on stack `s`", "did you mean `gpu`?", "the targets are: `default`, `gpu`"],
            id="an unknown target lists the targets",
        ),
        pytest.param(
            "", "default: s\nstacks: {s: {targets: {default: {backend: local, nmespace: ml}}}}",
            ["mlx_stacks.yaml:2:50", "unknown key `nmespace`", "^^^^^^^^"],
            id="a malformed stack file shows the line under a caret",
        ),
        pytest.param(
            '(resources=Resources(gpu="H200:1", nodes=2, cpu=1))',
            "default: s\nstacks: {s: {targets: {default: {backend: local}}}}",
            ["gpu='H200:1': a process of the worker cannot reserve a GPU", "nodes=2: there is one host", "on_unsupported: warn"],
            id="resources that the backend cannot honour, all at once",
        ),
        pytest.param(
            '(secrets={"TOKEN": "hf"})', "default: s\nstacks: {s: {targets: {default: {backend: local}}}}",
            ["the target `default` maps no secret `hf`", "add it under `secrets:` of the target"],
            id="a secret that the target does not map",
        ),
        pytest.param(
            '(resources={"gpus": 1})', "default: s\nstacks: {s: {targets: {default: {backend: local}}}}",
            ["there is no resource `gpus`", "did you mean `gpu`?"],
            id="an unknown resource names the nearest",
        ),
    ],
)  # fmt: skip
def test_refused_before_anything_is_submitted(
    options: str, stacks: str, expected: list[str], load: Load, execute: Execute, airflow_home: Path
) -> None:
    with pytest.raises(InvalidStep) as caught:
        execute(load(step(options=options), stacks=stacks)["step"])
    text = str(caught.value)
    assert [part for part in expected if part not in text] == [], text
    assert jobs(airflow_home) == []


def test_a_refusal_fails_at_once_and_spends_no_retries(load: Load, execute: Execute) -> None:
    with pytest.raises(AirflowFailException):
        execute(load(step(options='(stack="nowhere")'))["step"])


def test_a_policy_refuses_with_the_name_of_its_rule(
    load: Load, execute: Execute, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = airflow_home / "platform.yaml"
    platform.write_text(
        "default: prod\nstacks: {prod: {targets: {default: {backend: local}}}}\n"
        'policy: {targets: {"prod.*": {dags: ["churn*"], max_runtime: 1h, pool: ml}}}\n'
    )
    monkeypatch.setenv("AIRFLOW__MLX__STACKS_FILES", str(platform))
    with pytest.raises(InvalidStep) as caught:
        execute(load(step())["step"])
    text = str(caught.value)
    for part in (
        'platform.yaml:3:20, policy.targets."prod.*".dags: the DAG `dag` is not allowed → allowed: `churn*`',
        ".max_runtime: the step has no time limit",
        '.pool: the task runs in the pool `default_pool` → say pool="ml"',
    ):
        assert part in text, text
    assert jobs(airflow_home) == []


def test_a_policy_in_a_bundle_is_refused(load: Load, execute: Execute) -> None:
    stacks = 'stacks: {s: {targets: {default: {backend: local}}}}\npolicy: {targets: {"*": {max_gpu: 1}}}\n'
    with pytest.raises(InvalidStep, match="move it to a file of the deployment"):
        execute(load(step(), stacks=stacks)["step"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            "from airflow.sdk import Variable\n@task.mlx\ndef step():\n    return Variable.get('x')\nstep()",
            ["Variable", "airflow", "dag_file.py:"], id="Airflow at run time",
        ),
        pytest.param(
            "def outer():\n    rate = 3\n    @task.mlx\n    def step():\n        return rate\n    step()\nouter()",
            ["rate", "dag_file.py:"], id="a closure over a local",
        ),
        pytest.param("@task.mlx\ndef step():\n    return undefined_name\nstep()", ["undefined_name"], id="a name not found"),
        pytest.param(
            "@task.mlx\ndef step(ti):\n    return ti.try_number\nstep()",
            ["ti: it is a live object of Airflow", "run_id"], id="a live context object",
        ),
        pytest.param(
            "@task.mlx\ndef step(**context):\n    return 1\nstep()", ["**context", "cannot leave Airflow"], id="the whole context"
        ),
        pytest.param(
            "import pandas as pd\n@task.mlx\ndef step() -> pd.Timestamp:\n    return 1\nstep()",
            ["no codec takes a `pandas.Timestamp`", "Path to a file"], id="an unknown return type",
        ),
        pytest.param(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
            "@task.mlx\ndef step() -> 'torch.nn.Module':\n    return 1\nstep()",
            ["no codec takes a `torch.nn.Module`", "return `model.state_dict()`"], id="a module of PyTorch's",
        ),
        pytest.param(
            "@task.mlx(resources=Resources(memory='16 gigs'))\ndef step():\n    return 1\nstep()",
            ["memory='16 gigs'", "not a quantity", "16Gi"], id="a quantity that is none",
        ),
        pytest.param(
            "MlxStepOperator(task_id='step')", ["it says nothing to run", "entrypoint, script, command"], id="no payload"
        ),
    ],
)  # fmt: skip
def test_refused_while_the_dag_is_parsed(body: str, expected: list[str], load: Load) -> None:
    with pytest.raises(InvalidStep) as caught:
        load(body)
    text = str(caught.value)
    assert [part for part in expected if part not in text] == [], text


def test_a_container_command_on_local_is_refused_with_the_way_out(
    load: Load, execute: Execute, airflow_home: Path
) -> None:
    body = "MlxStepOperator(task_id='step', command=['sh', '-c', 'true'], image='busybox:1')"
    with pytest.raises(InvalidStep, match="a container command needs a container runtime → use a kubernetes target"):
        execute(load(body)["step"])
    assert jobs(airflow_home) == []


def test_a_bundle_that_is_too_large_names_its_ten_largest_files(
    load: Load, execute: Execute, airflow_home: Path
) -> None:
    tasks = load("MlxStepOperator(task_id='step', script='run.py', source='code')")
    code = Path(tasks["step"].dag.fileloc).parent / "code"
    code.mkdir()
    (code / "run.py").write_text("print(1)\n")
    for index in range(12):
        (code / f"data{index:02}.bin").write_bytes(os.urandom(1024) * (1024 * (5 + index) // 1))
    with pytest.raises(InvalidStep) as caught:
        execute(tasks["step"])
    text = str(caught.value)
    assert "data11.bin" in text and "data02.bin" in text, text
    assert text.count(".bin (") == 10 and "data01.bin" not in text.partition("→")[0], text
    assert jobs(airflow_home) == []


def test_steps_on_a_worker_need_an_explicit_yes(load: Load, execute: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLX__ALLOW_LOCAL", "auto")
    with pytest.raises(InvalidStep, match="AIRFLOW__MLX__ALLOW_LOCAL=true; `local` isolates packages, not trust"):
        execute(load(step())["step"])


def test_an_argument_that_no_json_can_say_is_refused(load: Load, execute: Execute, airflow_home: Path) -> None:
    with pytest.raises(InvalidStep) as caught:
        execute(load(step(parameters="x, y", arguments="object(), {1: 2}"))["step"])
    assert "- x: " in str(caught.value) and "- y: " in str(caught.value)
    assert jobs(airflow_home) == []


def test_a_secret_as_an_argument_is_refused_and_not_shown(load: Load, execute: Execute, airflow_home: Path) -> None:
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret("tr0ub4dor-and-three")
    with pytest.raises(InvalidStep) as caught:
        execute(load(step(parameters="x", arguments="'Bearer tr0ub4dor-and-three'"))["step"])
    assert "secrets=" in str(caught.value)
    assert "tr0ub4dor" not in str(caught.value)
    assert jobs(airflow_home) == []


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "s3://other/secret", "file:///{home}/mlx/../../etc/passwd", "http://169.254.169.254/x"],
)
def test_a_forged_reference_is_not_read(uri: str, load: Load, execute: Execute, airflow_home: Path) -> None:
    forged = {
        "mlx": "artifact/1", "uri": uri.format(home=airflow_home), "sha256": "0" * 64, "size": 1, "codec": "text",
        "type": "str", "name": "return_value", "version": "000000000000", "producer": {},
    }  # fmt: skip
    with pytest.raises(InvalidStep, match="the step's inputs cannot be used"):
        execute(load(step(parameters="x", arguments=repr(forged)))["step"])
    assert jobs(airflow_home) == []


def test_a_dict_with_a_broken_reference_is_refused(load: Load, execute: Execute) -> None:
    with pytest.raises(InvalidStep, match="a dict with the key `mlx` stands for a reference"):
        execute(load(step(parameters="x", arguments="{'mlx': 'artifact/1', 'uri': 'x'}"))["step"])


TABLE = "@task.mlx\ndef make():\n    return {{'rows': list(range({size}))}}\n@task.mlx\ndef use(rows):\n    return 1\n"


def test_a_tampered_artifact_shows_both_digests(load: Load, execute: Execute, airflow_home: Path) -> None:
    body = TABLE.format(size=20_000) + "use(make())"
    tasks = load(body)
    made = execute(tasks["make"])
    assert made.result["mlx"] == "artifact/1"
    stored = Path(made.result["uri"].removeprefix("file://"))
    stored.write_bytes(stored.read_bytes().replace(b"19999", b"99999"))
    tasks["use"].op_args = [made.result]
    with pytest.raises((ArtifactError, StepFailed)) as caught:
        execute(tasks["use"])
    assert made.result["sha256"] in str(caught.value), str(caught.value)


def test_a_reference_whose_digest_the_ledger_does_not_know_is_refused(load: Load, execute: Execute) -> None:
    tasks = load(TABLE.format(size=20_000) + "use(make())")
    made = execute(tasks["make"])
    tasks["use"].op_args = [{**made.result, "sha256": "f" * 64}]
    with pytest.raises(InvalidStep) as caught:
        execute(tasks["use"])
    assert "f" * 64 in str(caught.value) and made.result["sha256"] in str(caught.value)


def test_a_tampered_bundle_is_refused_before_any_import(load: Load, execute: Execute, airflow_home: Path) -> None:
    marker = airflow_home / "ran"
    body = f"@task.mlx\ndef step():\n    open({str(marker)!r}, 'w')\nstep()"
    tasks = load(body)
    execute(tasks["step"], run_id="first")
    assert marker.exists()
    marker.unlink()
    (bundle,) = (airflow_home / "mlx" / "bundles").glob("*.zip")
    bundle.write_bytes(bundle.read_bytes().replace(b"def step", b"def stop"))
    with pytest.raises(ArtifactError, match="its bundle or context is not the one that was submitted"):
        execute(tasks["step"], run_id="second")
    assert not marker.exists()


def test_a_corrupt_result_is_an_error_with_its_place(load: Load, execute: Execute, airflow_home: Path) -> None:
    result = airflow_home / "mlx/runs/default/dag/run/step/-1/attempt-1/result.json"
    body = f"@task.mlx\ndef step():\n    import os\n    open({str(result)!r}, 'w').write('{{')\n    os._exit(0)\nstep()"
    with pytest.raises(ResultMissing, match=r"a record of the ledger cannot be read.*\n.*result\.json"):
        execute(load(body)["step"])


def test_a_split_result_too_large_even_as_references_is_an_error_before_the_push(load: Load, execute: Execute) -> None:
    body = "@task.mlx(multiple_outputs=True)\ndef step():\n    return {str(n): 'x' * 1000 for n in range(200)}\nstep()"
    tasks = load(body)
    with pytest.raises(InvalidStep, match="the result is split by `multiple_outputs`, and it is not small plain JSON"):
        execute(tasks["step"])


def test_a_large_result_that_is_mapped_over_is_an_error_before_the_push(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx\ndef many():\n    return ['x' * 60_000]\n"
        "@task.mlx\ndef one(item):\n    return item\none.expand(item=many())"
    )
    with pytest.raises(InvalidStep, match="a task downstream maps over the result, and it is not small plain JSON"):
        execute(load(body)["many"])


def test_names_of_250_characters_and_unicode_run(load: Load, execute: Execute, airflow_home: Path) -> None:
    task_id = "schritt_" + "x" * 242
    body = f"@task.mlx(task_id={task_id!r})\ndef step():\n    return 'ok'\nstep()"
    ti = execute(load(body, dag_id="d" * 250)[task_id], run_id="manual__2026-01-01T00:00:00+00:00 é日本")
    assert ti.result == "ok"
    name = json.loads(next((airflow_home / "mlx").rglob("job.json")).read_text())["job"]
    assert len(name) <= 63 and name.isascii()


def test_numbers_that_are_not_finite_round_trip(load: Load, execute: Execute) -> None:
    body = (
        "@task.mlx(multiple_outputs=False)\ndef make():\n    return {'values': [float('nan'), float('inf'), -float('inf'), 0.1]}\n"
        "@task.mlx(multiple_outputs=False)\ndef use(made):\n    import math\n    a, b, c, d = made['values']\n"
        "    return [math.isnan(a), b == math.inf, c == -math.inf, d]\nuse(make())"
    )
    tasks = load(body)
    made = execute(tasks["make"])
    json.dumps(made.result, allow_nan=False)
    tasks["use"].op_args = [made.result]
    assert execute(tasks["use"]).result == [True, True, True, 0.1]


def test_requirements_that_are_hashed_in_part_are_refused(load: Load, execute: Execute) -> None:
    tasks = load("@task.mlx(requirements='needs.txt')\ndef step():\n    return 1\nstep()")
    Path(tasks["step"].dag.fileloc).with_name("needs.txt").write_text("six==1.17.0 --hash=sha256:aa\nattrs\n")
    with pytest.raises(InvalidStep, match=r"some requirements have hashes, and these have none: attrs"):
        execute(tasks["step"])


def test_a_requirements_file_that_is_not_there_is_told_with_its_name(load: Load, execute: Execute) -> None:
    with pytest.raises(InvalidStep, match=r"there is no file `needs\.txt` beside the DAG file"):
        execute(load("@task.mlx(requirements='needs.txt')\ndef step():\n    return 1\nstep()")["step"])
