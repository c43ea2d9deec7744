"""What a stack says of experiment trackers, and what becomes of it in a job's environment."""

from __future__ import annotations

import re

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import StepChoice, resolve_target
from airflow_provider_mlx.stacks.model import TrackingModel
from airflow_provider_mlx.stacks.tracking import SECRETS, VARIABLES, tracking_secrets, tracking_variables, with_tracking

FILE = """\
stacks:
  base:
    tracking: {mlflow: {uri: "http://mlflow:5000", secrets: {MLFLOW_TRACKING_TOKEN: {name: mlflow, key: jwt}}}}
  prod:
    extends: base
    artifacts: {root: "s3://prod/mlx"}
    tracking: {mlflow: {experiment: churn}, wandb: {project: churn, entity: acme, base_url: "https://wandb.acme.com"}}
    targets:
      default: {backend: kubernetes, namespace: ml}
      here: {backend: local, tracking: {mlflow: {secrets: {MLFLOW_TRACKING_TOKEN: {env: MLFLOW_TOKEN}, A: {file: /a}}}}}
    tasks:
      "nightly.*": {tracking: {mlflow: {experiment: nightly}, neptune: {project: acme/churn}}}
  plain:
    extends: prod
    tracking:
"""
PROD = {
    "MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_EXPERIMENT_NAME": "churn", "WANDB_PROJECT": "churn",
    "WANDB_ENTITY": "acme", "WANDB_BASE_URL": "https://wandb.acme.com",
}  # fmt: skip
TOKEN = {"name": "mlflow", "key": "jwt"}


@pytest.mark.parametrize(
    ("stack", "dag", "target", "variables", "secrets"),
    [
        pytest.param("prod", "churn", None, PROD, {"MLFLOW_TRACKING_TOKEN": TOKEN}, id="a stack's, and its parent's"),
        pytest.param("prod", "churn", "here", PROD, {"MLFLOW_TRACKING_TOKEN": {"env": "MLFLOW_TOKEN"}, "A": {"file": "/a"}}, id="a target names the secret as its backend knows it"),
        pytest.param("prod", "nightly", None, PROD | {"MLFLOW_EXPERIMENT_NAME": "nightly", "NEPTUNE_PROJECT": "acme/churn"}, {"MLFLOW_TRACKING_TOKEN": TOKEN}, id="an override changes one setting and keeps the others"),
        pytest.param("plain", "churn", None, {}, {}, id="an empty value removes what the parent says"),
    ],
)  # fmt: skip
def test_the_more_specific_adds_setting_by_setting(load, stack, dag, target, variables, secrets):
    (found,) = resolve_target(load(FILE), stack, StepChoice(dag, "train", target=target)).targets
    assert tracking_variables(found.tracking) == variables
    assert tracking_secrets(found.tracking) == secrets


TRACKING = {"mlflow": {"uri": "http://a", "secrets": {"MLFLOW_TRACKING_TOKEN": TOKEN}}}


@pytest.mark.parametrize(
    ("env", "secrets", "expected"),
    [
        pytest.param({}, {}, ({"MLFLOW_TRACKING_URI": "http://a"}, {"MLFLOW_TRACKING_TOKEN": TOKEN}), id="the stack's alone"),
        pytest.param({"MLFLOW_TRACKING_URI": "http://b", "B": "c"}, {}, ({"MLFLOW_TRACKING_URI": "http://b", "B": "c"}, {"MLFLOW_TRACKING_TOKEN": TOKEN}), id="the step's own variable"),
        pytest.param({"MLFLOW_TRACKING_TOKEN": ""}, {}, ({"MLFLOW_TRACKING_URI": "http://a", "MLFLOW_TRACKING_TOKEN": ""}, {}), id="the step's own variable instead of a secret"),
        pytest.param({}, {"MLFLOW_TRACKING_TOKEN": {"name": "mine"}}, ({"MLFLOW_TRACKING_URI": "http://a"}, {"MLFLOW_TRACKING_TOKEN": {"name": "mine"}}), id="the step's own secret"),
        pytest.param({}, {"MLFLOW_TRACKING_URI": {"name": "uri"}}, ({}, {"MLFLOW_TRACKING_TOKEN": TOKEN, "MLFLOW_TRACKING_URI": {"name": "uri"}}), id="a secret instead of a setting"),
    ],
)  # fmt: skip
def test_what_the_step_says_itself_counts(env, secrets, expected):
    assert with_tracking(TRACKING, env, secrets) == expected


@pytest.mark.parametrize(
    ("tracking", "what", "remedy"),
    [
        pytest.param("{mlfow: {}}", "unknown key `mlfow` of `tracking` of stack `dev`", "did you mean `mlflow`?", id="a tracker"),
        pytest.param("{comet: {}}", "unknown key `comet` of `tracking` of stack `dev`", "use one of `mlflow`, `neptune`, `wandb`", id="a tracker that we do not know"),
        pytest.param("{wandb: {team: a}}", "unknown key `team` of `tracking.wandb` of stack `dev`", "use one of `base_url`, `entity`, `project`, `secrets`", id="a setting"),
        pytest.param("{mlflow: {secrets: {1TOKEN: {env: A}}}}", "`1TOKEN` is no environment variable", "use letters, digits and `_`, no digit first", id="what is no variable"),
        pytest.param("{mlflow: {secrets: {MY_TOKEN: s3cr3t}}}", "`tracking.mlflow.secrets.MY_TOKEN` of stack `dev`: a secret's value never stands here", "write a reference that the backend understands, as {name: hf, key: token}", id="a value"),
        pytest.param("{mlflow: {uri: 'http://me:s3cr3t@mlflow'}}", "this text looks like a secret", "name a connection id instead, and replace the secret", id="a password in the address"),
    ],
)  # fmt: skip
def test_what_is_refused_and_no_secret_is_shown(load, tracking, what, remedy):
    with pytest.raises(InvalidStep) as refused:
        load(
            "stacks: {dev: {artifacts: {root: 's3://a/b'}, targets: {default: {backend: local}},\n"
            f"  tracking: {tracking}}}}}"
        )
    (problem,) = refused.value.problems
    assert (problem.what, problem.remedy) == (what, remedy)
    assert "s3cr3t" not in str(refused.value)


def test_every_setting_has_a_variable_and_every_variable_a_setting():
    for tracker, field in TrackingModel.model_fields.items():
        assert {*field.annotation.model_fields} == {*VARIABLES[tracker], SECRETS}
    names = [name for settings in VARIABLES.values() for name in settings.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Z_]+", name) for name in names)
