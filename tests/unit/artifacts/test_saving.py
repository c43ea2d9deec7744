"""What a plain task saves for a step, and the record by which the step's input is believed."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact
from airflow_provider_mlx.artifacts.saving import save_value
from airflow_provider_mlx.artifacts.store import Gate
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.runtime.outputs import Metrics

PRODUCER = {"dag_id": "churn", "task_id": "make"}


def arguments(reference):
    return {"args": [reference.to_wire()], "kwargs": {}}


def folder_of(root, name="table"):
    return f"{root}/runs/d/churn/run/make/-1/saved-1/{name}"


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        pytest.param({"a": [1, float("inf")]}, "json", id="JSON, with what JSON cannot say"),
        pytest.param("ä" * 9, "text", id="text"),
        pytest.param(b"\0\1", "bytes", id="bytes"),
        pytest.param(Metrics(auc=0.5), "json", id="metrics"),
    ],
)
def test_a_saved_value_is_an_input_that_is_believed(place, value, codec):
    store, root = place
    reference = save_value(value, "table", store=store, folder=folder_of(root), producer=PRODUCER)
    assert (reference.codec, reference.name, reference.producer) == (codec, "table", PRODUCER)
    gate = Gate((root,))
    assert check_inputs(arguments(reference), store=store, gate=gate, root=root) == (reference,)
    assert StoredArtifact(reference, store, gate).load() == value


def test_a_forged_record_elsewhere_is_not_believed(place):
    store, root = place
    reference = save_value("x", "table", store=store, folder=f"{root}/runs/d/churn/run/make/-1/mine", producer=PRODUCER)
    with pytest.raises(InvalidStep, match="is not an output of a step"):
        check_inputs(arguments(reference), store=store, gate=Gate((root,)), root=root)


def test_the_same_value_again_is_one_and_another_is_refused(place):
    store, root = place
    first, again = (save_value("x", "table", store=store, folder=folder_of(root), producer=PRODUCER) for _ in range(2))
    assert first == again
    with pytest.raises(ArtifactError, match="has saved another value as 'table'"):
        save_value("y", "table", store=store, folder=folder_of(root), producer=PRODUCER)
    other = save_value("y", "other", store=store, folder=folder_of(root, "other"), producer=PRODUCER)
    assert json.loads(store.read(f"{folder_of(root, 'other')}/result.json"))["outputs"]["other"]["artifact"] == (
        other.to_wire()
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param({1, 2}, "a set cannot be saved by a plain task: it is no codec's", id="no codec"),
        pytest.param(type("Fake", (), {"__module__": "sklearn.base", "__qualname__": "BaseEstimator"})(),
                     "it is a model", id="a model"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_refused(place, value, words):
    store, root = place
    with pytest.raises(ArtifactError, match=words):
        save_value(value, "x", store=store, folder=folder_of(root), producer=PRODUCER)


def test_a_folder_arrives_as_a_folder(place, tmp_path):
    store, root = place
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "a.txt").write_text("a")
    reference = save_value(made, "files", store=store, folder=folder_of(root), producer=PRODUCER)
    found = StoredArtifact(reference, store, Gate((root,))).load()
    assert (found / "deep" / "a.txt").read_text() == "a"
