"""The page on Kubeflow Pipelines says what the code says."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import yaml

from airflow_provider_mlx.backends.kubeflow_pipelines import auth, compiling, minting, plan
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.credentials import WAYS, parse_connection
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import parameter_problems, resolve_outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.runs import outcome, outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.status import STATES
from airflow_provider_mlx.exceptions import InvalidStep
from tests.docs.snippets import ROOT, snippets

GUIDE = ROOT / "docs" / "guides" / "kubeflow-pipelines.md"
PAGE = GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        f"The default is {compiling.SDK_VERSION}.",
        f"The first {outcome.MAX_TASKS} tasks are listed",
        f"`{outputs.TASK}`",
        f"the audience `{auth.AUDIENCE}`",
        f"at most {plan.LARGEST_PIPELINE // 2**20} MiB",
    ],
)
def test_the_words_of_the_code(words):
    assert words in PAGE


def test_a_token_lasts_as_long_as_is_said():
    assert "The token lasts an hour" in PAGE
    assert minting.TOKEN_SECONDS == 3600


def test_every_state_that_ends_a_run_has_a_row():
    table = PAGE.partition("| Kubeflow Pipelines says | the task |")[2].partition("\n\n")[0]
    assert {word for word, state in STATES.items() if state.finished} == set(re.findall(r"`([A-Z]+)`", table))


def test_every_way_to_be_known_is_shown_but_the_plain_token():
    table = PAGE.partition("| where the server is | `host` | `auth` |")[2].partition("\n\n")[0]
    assert {way for way in WAYS if f"`{way}`" in table} == set(WAYS) - {"token"}


def test_the_connection_of_a_profile_can_be_used():
    text = next(one.text for one in snippets(GUIDE) if "default-editor" in one.text and one.language == "sh")
    extra = json.loads(re.search(r"kubeflow_pipelines .*?--conn-extra '(\{.*?\})'", text, re.DOTALL)[1])

    connection = SimpleNamespace(
        conn_id="kfp", host="http://ml-pipeline.kubeflow:8888", port=None, schema=None, login=None, password=None,
        extra=json.dumps(extra), extra_dejson=extra,
    )  # fmt: skip
    fields = parse_connection(connection)
    assert (fields.auth, fields.namespace, fields.kubernetes_conn_id) == ("kubernetes", "team-a", "kubernetes_default")
    (role,) = (yaml.safe_load(one.text) for one in snippets(GUIDE) if "kind: Role" in one.text)
    assert role["metadata"]["namespace"] == extra["namespace"]
    assert role["rules"][0]["resourceNames"] == [extra["service_account"]]


def test_the_problems_that_are_shown_are_those_of_the_example():
    shown = next(one.text for one in snippets(GUIDE) if "no parameter `epoch`" in one.text)
    file = ROOT / "dags_examples" / "on_kubeflow_pipelines" / "pipelines" / "churn_training.yaml"
    pipeline = parse_pipeline(file.read_text())
    problems = parameter_problems(pipeline, {"epoch": 3, "epochs": "many"})
    with pytest.raises(InvalidStep) as refused:
        resolve_outputs(pipeline, {"model": "train.modle"})
    assert shown.splitlines() == [f"  - {one}" for one in (*problems, *refused.value.problems)]
