from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import StepChoice, resolve_stack_name, resolve_target

FILE = """\
stacks:
  prod:
    artifacts: {root: "s3://prod/mlx", conn_id: aws_ml, allowed: ["s3://lake/"]}
    tags: {team: risk, from: stack}
    on_unsupported: warn
    targets:
      default: {backend: kubernetes, namespace: ml, image: "r/ml:1", max_runtime: 4h, resources: {cpu: 1, memory: 1Gi}, env: {A: 1}}
      gpu:
        - {backend: kubernetes, namespace: ml, queue: a, max_runtime: 8h, on_demand_fallback: last, tags: {from: target}}
        - {backend: local, max_runtime: 8h}
      cloud: {backend: sagemaker, role_arn: x}
    tasks:
      "churn.train*": {target: gpu, kubernetes: {queue: night, labels: {a: b}}}
      "*.prepare": {resources: {memory: 8Gi}, image: "r/big:1", max_runtime: 1h, env: {B: "2"}}
      "*.train": {image: never}
  loose:
    artifacts: {root: "file:///mlx"}
    strict: false
    targets: {default: {backend: local}}
"""


@pytest.mark.parametrize("given", list(itertools.product(["step", None], ["run", ""], ["conf", None], ["file", None])))
def test_the_first_choice_of_a_stack_wins(given):
    name, why = resolve_stack_name(*given)
    assert name == next(filter(None, given), "local")
    assert (
        why
        == {
            "step": "stack `step`: the step's own `stack=` says so",
            "run": "stack `run`: the DAG run's param `mlx_stack` says so",
            "conf": "stack `conf`: `[mlx] stack` says so",
            "file": "stack `file`: it is the stack file's `default`",
            "local": "stack `local`: nothing chooses another, and it needs no file",
        }[name]
    )


def test_a_step_that_says_nothing_gets_the_default_target(load):
    resolved = resolve_target(load(FILE), "prod", StepChoice("x", "y"), why="because")
    (target,) = resolved.targets
    assert (target.image, target.max_runtime, target.env) == ("r/ml:1", timedelta(hours=4), {"A": "1"})
    assert target.tags == {"team": "risk", "from": "stack"}
    assert resolved.artifacts.allowed == ("s3://lake/",)
    assert (resolved.on_unsupported, resolved.install_client, resolved.overrides) == ("warn", False, ())
    assert resolved.why == (
        "because",
        "target `default`: the step names none",
        "backend `kubernetes`: from dags/mlx_stacks.yaml:7:17",
    )


def test_an_override_wins_over_the_code_and_the_code_over_the_target(load):
    step = StepChoice("a", "prepare", target="default", image="mine", python="py3", env={"B": "1", "C": "1"},
                      tags={"team": "me"}, resources={"memory": "4Gi", "cpu": 2})  # fmt: skip
    resolved = resolve_target(load(FILE), "prod", step)
    (target,) = resolved.targets
    assert (target.image, target.python, target.max_runtime) == ("r/big:1", "py3", timedelta(hours=1))
    assert target.resources == {"cpu": 2, "memory": "8Gi"}
    assert target.env == {"A": "1", "B": "2", "C": "1"}
    assert target.tags["team"] == "me"
    assert [sentence for sentence in resolved.why if "override" in sentence] == [
        "`image`: from the override `*.prepare` instead of the step's own (dags/mlx_stacks.yaml:14:7)",
        "`max_runtime`: from the override `*.prepare` (dags/mlx_stacks.yaml:14:7)",
        "`env.B`: from the override `*.prepare` instead of the step's own (dags/mlx_stacks.yaml:14:7)",
        "`resources.memory`: from the override `*.prepare` instead of the step's own (dags/mlx_stacks.yaml:14:7)",
    ]


def test_the_first_override_that_matches_moves_a_step(load):
    step = StepChoice("churn", "train", target="default", sections={"kubernetes": {"queue": "mine", "retention": 2}})
    resolved = resolve_target(load(FILE), "prod", step)
    assert resolved.target == "gpu"
    first, second = resolved.targets
    assert (first.settings.queue, first.settings.labels, first.settings.retention) == ("night", {"a": "b"}, 2)
    assert (first.on_demand_fallback, first.tags["from"], second.backend) == ("last", "target", "local")
    assert first.image is None
    assert resolved.overrides == ("kubernetes.queue", "kubernetes.retention")
    assert resolved.why == (
        "target `gpu`: the override `churn.train*` says so (dags/mlx_stacks.yaml:13:7)",
        "candidate 1 of 2: backend `kubernetes`, from dags/mlx_stacks.yaml:9:12",
        "candidate 2 of 2: backend `local`, from dags/mlx_stacks.yaml:10:12",
        "`kubernetes.queue`, `kubernetes.labels`: from the override `churn.train*` (dags/mlx_stacks.yaml:13:7)",
    )


def test_settings_for_a_backend_that_is_not_chosen_are_explained(load):
    resolved = resolve_target(load(FILE), "prod", StepChoice("x", "y", sections={"local": {"keep": True}}))
    assert "the step's settings of `local` have no effect: no candidate uses that backend" in resolved.why


def test_mappings_inside_settings_merge_key_by_key(load):
    step = StepChoice("churn", "train", sections={"kubernetes": {"labels": {"c": "d"}}})
    assert resolve_target(load(FILE), "prod", step).targets[0].settings.labels == {"a": "b", "c": "d"}


@pytest.mark.parametrize(
    ("stack", "step", "problems"),
    [
        pytest.param("prod", {"target": "gpus"}, ["target: there is no target `gpus` on stack `prod` (dags/mlx_stacks.yaml:2:3) → did you mean `gpu`? the targets are: `default`, `gpu`, `cloud`"], id="an unknown target"),
        pytest.param("prd", {}, ["there is no stack `prd` in dags/mlx_stacks.yaml → did you mean `prod`? the stacks are: `loose`, `prod`"], id="an unknown stack"),
        pytest.param("prod", {"sections": {"slurm": {}}}, ["slurm: the step overrides settings of `slurm`, which is not an installed backend → use one of `kubernetes`, `local`"], id="an unknown backend"),
        pytest.param("prod", {"sections": {"kubernetes": {"queu": "x"}}}, ["kubernetes.queu: unknown setting → did you mean `queue`?"], id="an unknown setting"),
        pytest.param("prod", {"sections": {"kubernetes": {"queue": 1}}}, ["kubernetes.queue: should be text → write text, numbers and dates in quotes"], id="a setting of the wrong kind"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_refused(load, stack, step, problems):
    with pytest.raises(InvalidStep) as caught:
        resolve_target(load(FILE), stack, StepChoice("x", "y", **step))
    assert [str(problem) for problem in caught.value.problems] == problems


def test_a_backend_without_its_extra_is_refused_only_when_it_is_used(load):
    with pytest.raises(InvalidStep, match="target `cloud` of stack `prod` cannot be used here") as caught:
        resolve_target(load(FILE), "prod", StepChoice("x", "y", target="cloud"))
    (problem,) = caught.value.problems
    assert problem.what == "the backend `sagemaker` is not installed; there are: `kubernetes`, `local`"
    assert problem.remedy == "pip install 'airflow-provider-mlx[sagemaker]'"


def test_spot_with_a_fallback_is_a_list_of_two(load):
    step = StepChoice("x", "y", target="gpu", resources={"spot": True})
    resolved = resolve_target(load(FILE), "prod", step)
    assert [(one.backend, one.resources.get("spot")) for one in resolved.targets] == [
        ("kubernetes", True), ("kubernetes", False), ("local", True),
    ]  # fmt: skip
    assert any("after its spot machines the same target on demand" in reason for reason in resolved.why)


def test_without_spot_there_is_nothing_to_fall_back_from(load):
    assert len(resolve_target(load(FILE), "prod", StepChoice("x", "y", target="gpu")).targets) == 2


def test_a_stack_that_is_not_strict_takes_any_target_for_its_default(load):
    resolved = resolve_target(load(FILE), "loose", StepChoice("x", "y", target="gpu"))
    assert resolved.target == "default"
    assert resolved.why[0] == "target `default`: stack `loose` has no `gpu` and is not strict"


def test_the_wheelhouse_of_a_step_wins_over_its_targets_and_an_override_over_both(load):
    text = FILE.replace("loose:", "wheels:", 1).replace(
        'targets: {default: {backend: local}}\n',
        'targets: {default: {backend: local, wheelhouse: "file:///wheels/"}}\n'
        '    tasks: {"*.held": {wheelhouse: "file:///held.zip"}}\n',
    )  # fmt: skip
    stacks = load(text)
    found = [
        resolve_target(stacks, "wheels", StepChoice("a", task, wheelhouse=own)).targets[0].wheelhouse
        for task, own in (("b", None), ("b", "s3://mine/"), ("held", "s3://mine/"))
    ]
    assert found == ["file:///wheels/", "s3://mine/", "file:///held.zip"]
