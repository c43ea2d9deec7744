"""Airflow's own events of the task: the child's datasets, with inlets and outlets."""

from __future__ import annotations

from types import SimpleNamespace

from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.sdk import Asset, AssetAlias

from airflow_provider_mlx.lineage import operator_facets
from tests.unit.lineage.conftest import ARGUMENTS, CANARY, artifact


def make_operator(**facts):
    given = {
        "task_type": "MlxStep", "arguments": ARGUMENTS["kwargs"], "op_args": ARGUMENTS["args"],
        "inlets": [Asset("s3://lake/declared/"), AssetAlias("later")], "outlets": [Asset("s3://out/declared"), "text"],
    }  # fmt: skip
    return SimpleNamespace(**{**given, **facts})


def make_ti():
    """A task instance that must not be asked for anything: two processes would share one socket."""
    return SimpleNamespace(dag_id="churn", task_id="train", map_index=-1)


def collected(*, metrics=None, read=()):
    outputs = {"return_value": SimpleNamespace(artifact=artifact())}
    result = {"datasets": {"read": [{"mlx": "dataset/1", "uri": uri} for uri in read], "written": []}}
    return SimpleNamespace(outputs=outputs, metrics=metrics or {}, result=result)


def names(datasets):
    return {item.name for item in datasets}


INPUTS = {"mlx/outputs/prod/churn/prepare/return_value", "raw", "declared"}


def test_before_it_runs():
    found = operator_facets.on_start(make_operator())
    assert (names(found.inputs), found.outputs) == (INPUTS, [])


def test_after_success():
    operator = make_operator(collected=collected(metrics={"auc": 0.9}, read=["s3://lake/read"]))
    found = operator_facets.on_complete(operator, make_ti())
    assert names(found.inputs) == INPUTS | {"read"}
    assert names(found.outputs) == {"mlx/outputs/prod/churn/train/return_value", "declared"}
    assert found.run_facets["mlx_metrics"].metrics == [{"name": "auc", "value": 0.9}]
    assert CANARY not in str(found)


def test_after_a_failure():
    found = operator_facets.on_failure(make_operator(), make_ti())
    assert (names(found.inputs), found.outputs) == (INPUTS, [])


def test_a_process_that_collected_nothing_tells_what_was_declared():
    found = operator_facets.on_complete(make_operator(), make_ti())
    assert (names(found.inputs), names(found.outputs)) == (INPUTS, {"declared"})


def test_a_dataset_that_is_declared_and_used_is_one():
    operator = make_operator(inlets=[Asset("s3://lake/raw")])
    assert len([item for item in operator_facets.on_start(operator).inputs if item.name == "raw"]) == 1


def test_the_provider_takes_what_the_methods_give():
    operator = make_operator(collected=collected())
    operator.get_openlineage_facets_on_start = lambda: operator_facets.on_start(operator)
    operator.get_openlineage_facets_on_complete = lambda ti: operator_facets.on_complete(operator, ti)
    extractor = DefaultExtractor(operator)
    assert names(extractor.extract().inputs) == INPUTS
    done = extractor.extract_on_complete(make_ti())
    assert "mlx/outputs/prod/churn/train/return_value" in names(done.outputs)


def test_an_operator_without_anything():
    found = operator_facets.on_complete(SimpleNamespace(), make_ti())
    assert (found.inputs, found.outputs, found.run_facets) == ([], [], {})
