"""Several outputs by the fields of a class, and words about one output, in real jobs."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.runtime.values import Dataset

CLASSES = {
    "a named tuple": "class Fitted(NamedTuple):\n{fields}",
    "a dataclass": "@dataclass\nclass Fitted:\n{fields}",
    "a TypedDict": "class Fitted(TypedDict):\n{fields}",
}
FIELDS = """\
    table: Annotated[Path, Output("churn table")]
    model: Annotated[Path, Model("churn")]
    scores: Metrics
    note: str
"""
SOURCE = """\
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict
try:
    from typing import Annotated
except ImportError:
    from typing_extensions import Annotated
from airflow_provider_mlx import Metrics, Model, Output

{definition}
def run() -> Fitted:
    table, model = Path("table.csv"), Path("weights.bin")
    table.write_text("a,b")
    model.write_bytes(b"weights")
    return Fitted(table=table, model=model, scores={{"auc": 0.75}}, note="fine")
"""


def split(context):
    context["outputs"]["multiple"] = True


@pytest.mark.parametrize("definition", [pytest.param(text, id=name) for name, text in CLASSES.items()])
def test_each_field_is_an_output_of_its_own(job, interpreter, definition):
    job.python = interpreter
    done = job.run(SOURCE.format(definition=definition.format(fields=FIELDS)), change=split)
    assert done.status == 0, done.output
    outputs = done.result["outputs"]
    assert set(outputs) == {"table", "model", "scores", "note", "return_value"}
    table, model = outputs["table"]["artifact"], outputs["model"]["artifact"]
    assert (table["codec"], table["name"]) == ("file", "churn table")
    assert (model["codec"], model["name"]) == ("model_file", "churn")
    assert model["uri"].endswith("outputs/model.bin")
    assert outputs["note"]["value"] == "fine"
    assert done.result["metrics"] == {"auc": 0.75}
    whole = outputs["return_value"]["value"]
    assert whole == {"table": table, "model": model, "scores": {"auc": 0.75}, "note": "fine"}


def test_the_class_comes_back_as_the_parameter_asks(job):
    made = job.run(SOURCE.format(definition=CLASSES["a named tuple"].format(fields=FIELDS)), change=split)
    reader = SOURCE.format(definition=CLASSES["a named tuple"].format(fields=FIELDS)) + (
        "\ndef read(fitted: Fitted) -> list:\n"
        "    return [fitted.table.read_text(), fitted.model.read_bytes().decode(), fitted.scores['auc'], fitted.note]\n"
    )
    payload = {"kind": "function", "module": "step", "function": "read"}
    whole = made.result["outputs"]["return_value"]["value"]
    command, attempt = job.prepare(reader, payload=payload)
    context = attempt / "context.json"
    told = json.loads(context.read_text())
    told["arguments"]["kwargs"] = {"fitted": whole}
    context.write_text(json.dumps(told))
    command = job.command(attempt.parent / "bundle.zip", attempt)
    assert job.finish(command, attempt).value == ["a,b", "weights", 0.75, "fine"]


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        pytest.param("Metrics", "{'auc': 'high'}", ["'auc' is a str", "numbers by name"], id="a metric that is text"),
        pytest.param("Metrics", "[1]", ["it is a list, not a dict"], id="metrics that are no dict"),
        pytest.param(
            "Annotated[dict, Model('churn')]", "{'a': 1}", ["the model 'churn'", "a dict is data"],
            id="a model that is data",
        ),
    ],
)  # fmt: skip
def test_what_an_annotation_promises_is_checked(job, annotation, value, words):
    source = SOURCE.split("{definition}", maxsplit=1)[0] + f"def run() -> {annotation}:\n    return {value}\n"
    error = job.run(source).error
    assert error["reason"] == "StepFailed"
    for word in words:
        assert word in f"{error['message']} {error['remedy']}"


def test_metrics_alone_are_a_result_and_metrics(job):
    done = job.run("from airflow_provider_mlx import Metrics\ndef run() -> Metrics:\n    return {'loss': 0.5}")
    assert done.value == {"loss": 0.5}
    assert done.result["metrics"] == {"loss": 0.5}
    assert [line["name"] for line in done.lines if line["type"] == "metric"] == ["loss"]


def test_a_returned_dataset_is_one_that_the_step_wrote(job):
    source = (
        "from typing import NamedTuple\nfrom airflow_provider_mlx import Dataset\n"
        "class Made(NamedTuple):\n    table: Dataset\n    count: int\n"
        "def run() -> Made:\n    return Made(Dataset('s3://lake/clean/', 'v1'), 7)\n"
    )
    written = {"mlx": "dataset/1", "uri": "s3://lake/clean/", "version": "v1"}
    result = job.run(source, change=split).result
    assert result["datasets"] == {"read": [], "written": [written]}
    assert result["outputs"]["table"]["value"] == written


def test_a_dataset_has_the_version_that_its_store_says_before_and_after(job, tmp_path):
    from airflow_provider_mlx.artifacts.store import ObjectStore

    table = tmp_path / "table.csv"
    table.write_text("a\n1\n")
    uri, store = table.as_uri(), ObjectStore()
    before = store.facts(uri).version
    source = (
        "from airflow_provider_mlx import Dataset\nfrom pathlib import Path\nfrom urllib.parse import urlsplit\n"
        "def run(table: Dataset, new: Dataset) -> Dataset:\n"
        "    assert new.version is None\n    print('had', table.version)\n"
        "    Path(urlsplit(table.uri).path).write_text('a\\n1\\n2\\n')\n    return table\n"
    )
    done = job.run(source, args=(Dataset(uri), Dataset((tmp_path / "none.csv").as_uri())))
    assert done.status == 0, done.output
    after = store.facts(uri).version
    assert f"had {before}" in done.output
    assert before != after
    assert done.value == Dataset(uri, after).to_wire()
    assert done.result["datasets"] == {
        "read": [Dataset(uri, before).to_wire()],
        "written": [Dataset(uri, after).to_wire()],
    }


def test_a_version_that_the_step_says_itself_stays(job, tmp_path):
    (tmp_path / "table").write_text("x")
    source = f"from airflow_provider_mlx import Dataset\ndef run():\n    return Dataset({(tmp_path / 'table').as_uri()!r}, 'v7')"
    assert job.run(source).value["version"] == "v7"
