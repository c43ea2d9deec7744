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


class TaskInstance(SimpleNamespace):
    def xcom_pull(self, *, task_ids, key, map_indexes):
        assert (task_ids, map_indexes) == ("train", -1)
        if isinstance(self.xcom, Exception):
            raise self.xcom
        return self.xcom.get(key)


def make_ti(**xcom):
    return TaskInstance(dag_id="churn", task_id="train", map_index=-1, xcom=xcom)


def names(datasets):
    return {item.name for item in datasets}


INPUTS = {"mlx/outputs/prod/churn/prepare/return_value", "raw", "declared"}


def test_before_it_runs():
    found = operator_facets.on_start(make_operator())
    assert (names(found.inputs), found.outputs) == (INPUTS, [])


def test_after_success():
    ti = make_ti(
        mlx_artifacts={"return_value": artifact().to_wire()}, mlx_metrics={"auc": 0.9},
        mlx_datasets={"read": [{"mlx": "dataset/1", "uri": "s3://lake/read"}], "written": []},
    )  # fmt: skip
    found = operator_facets.on_complete(make_operator(), ti)
    assert names(found.inputs) == INPUTS | {"read"}
    assert names(found.outputs) == {"mlx/outputs/prod/churn/train/return_value", "declared"}
    assert found.run_facets["mlx_metrics"].metrics == [{"name": "auc", "value": 0.9}]
    assert CANARY not in str(found)


def test_after_a_failure():
    found = operator_facets.on_failure(make_operator(), make_ti())
    assert (names(found.inputs), found.outputs) == (INPUTS, [])


def test_xcom_that_cannot_be_read_costs_the_outputs_only():
    ti = TaskInstance(dag_id="churn", task_id="train", map_index=-1, xcom=RuntimeError("no"))
    found = operator_facets.on_complete(make_operator(), ti)
    assert (names(found.inputs), names(found.outputs)) == (INPUTS, {"declared"})


def test_a_dataset_that_is_declared_and_used_is_one():
    operator = make_operator(inlets=[Asset("s3://lake/raw")])
    assert len([item for item in operator_facets.on_start(operator).inputs if item.name == "raw"]) == 1


def test_the_provider_takes_what_the_methods_give():
    operator = make_operator()
    operator.get_openlineage_facets_on_start = lambda: operator_facets.on_start(operator)
    operator.get_openlineage_facets_on_complete = lambda ti: operator_facets.on_complete(operator, ti)
    extractor = DefaultExtractor(operator)
    assert names(extractor.extract().inputs) == INPUTS
    done = extractor.extract_on_complete(make_ti(mlx_artifacts={"return_value": artifact().to_wire()}))
    assert "mlx/outputs/prod/churn/train/return_value" in names(done.outputs)


def test_an_operator_without_anything():
    found = operator_facets.on_complete(SimpleNamespace(), make_ti())
    assert (found.inputs, found.outputs, found.run_facets) == ([], [], {})
