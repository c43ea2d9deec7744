"""Packages that a codec needs are added to a step's requirements, when it names any."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.runtime.values import ArtifactReference
from tests.unit.jobs.test_plan import planner


def artifact(codec: str, type_name: str) -> ArtifactReference:
    return ArtifactReference(
        uri="memory://root/runs/a/outputs/x", sha256="0" * 64, size=1, codec=codec, type=type_name, name="x", version="0",
    )  # fmt: skip


def requirements(own: tuple[str, ...], *inputs: ArtifactReference, return_type: str | None = None) -> list[str]:
    made = planner()
    definition = replace(made.definition, requirements=own, return_types=(return_type,) if return_type else ())
    context = json.loads(replace(made, definition=definition, inputs=inputs).plan(1).context)
    found: list[str] = context["environment"]["requirements"]
    return found


@pytest.mark.parametrize(
    ("own", "inputs", "return_type", "expected"),
    [
        pytest.param((), (), "pandas.DataFrame", [], id="none are named: the image has everything"),
        pytest.param(("pandas==2.*",), (), "pandas.DataFrame", ["pandas==2.*", "pyarrow"], id="a frame needs Arrow"),
        pytest.param(("scikit_learn==1.7.*",), (artifact("sklearn", "sklearn.svm.SVC"),), None,
                     ["scikit_learn==1.7.*", "skops"], id="a model as input needs skops; names are compared as pip does"),
        pytest.param(("polars",), (artifact("parquet", "pandas.DataFrame"),), "int", ["polars", "pandas", "pyarrow"],
                     id="a pandas frame as input"),
        pytest.param(("torch",), (), "dict[torch.Tensor]", ["torch", "safetensors"], id="tensors by name"),
        pytest.param(("lightgbm",), (artifact("xgboost", "xgboost.XGBClassifier"),), "matplotlib.figure.Figure",
                     ["lightgbm", "matplotlib", "scikit-learn", "xgboost"], id="a wrapper needs scikit-learn too"),
        pytest.param(("xgboost-cpu==3.*",), (artifact("xgboost", "xgboost.Booster"),), None, ["xgboost-cpu==3.*"],
                     id="the same package under another name"),
        pytest.param(("x",), (), "PIL.Image.Image", ["x", "pillow"], id="Pillow is not named as it is imported"),
        pytest.param(("x",), (artifact("json", "dict"), artifact("text", "str")), "dict", ["x"], id="JSON needs nothing"),
    ],
)  # fmt: skip
def test_what_is_installed(own, inputs, return_type, expected):
    assert requirements(own, *inputs, return_type=return_type) == expected


# --- wheelhouses and hashes -------------------------------------------------------------------------------------------


def planned_with(own: tuple[str, ...], wheelhouse: str | None = None, allowed: tuple[str, ...] = ()):
    made = planner()
    target = replace(made.resolved.targets[0], wheelhouse=wheelhouse)
    artifacts = replace(made.resolved.artifacts, allowed=allowed)
    resolved = replace(made.resolved, targets=(target,), artifacts=artifacts)
    definition = replace(made.definition, requirements=own)
    return replace(made, definition=definition, resolved=resolved).plan(1)


def test_the_job_is_told_of_its_targets_wheelhouse():
    planned = planned_with(("x",), "s3://wheels/ml/", allowed=("s3://wheels/",))
    assert json.loads(planned.context)["environment"]["wheelhouse"] == "s3://wheels/ml/"


@pytest.mark.parametrize(
    ("own", "wheelhouse", "says"),
    [
        pytest.param(("x",), "s3://elsewhere/", "neither under the artifact root nor under an allowed prefix",
                     id="a wheelhouse outside the allowed prefixes"),
        pytest.param(("x", "--index-url https://i/simple"), "s3://wheels/", "they ask a network beside a wheelhouse",
                     id="an index beside a wheelhouse"),
        pytest.param(("a==1 --hash=sha256:0", "b==1"), None, "these have none: b==1", id="some hashes"),
    ],
)  # fmt: skip
def test_what_cannot_be_installed_is_refused_before_anything_is_submitted(own, wheelhouse, says):
    with pytest.raises(InvalidStep, match=says):
        planned_with(own, wheelhouse, allowed=("s3://wheels/",))
