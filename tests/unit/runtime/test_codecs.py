"""Which row takes what: by the value, and by the name that an annotation gives it."""

from __future__ import annotations

import collections

import numpy as np
import pandas as pd
import pytest

from airflow_provider_mlx import Html, Markdown, Metrics, Table
from airflow_provider_mlx.runtime.codecs import CODECS, codec_for, codec_for_type_name, packages_for, type_name, way_out
from airflow_provider_mlx.runtime.shown import Series


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        pytest.param({"a": np.zeros(2)}, "npz", id="a dict of arrays"),
        pytest.param(collections.OrderedDict(a=np.zeros(2)), "npz", id="an ordered one"),
        pytest.param({"a": np.float64(2)}, "json", id="NumPy's numbers are JSON's"),
        pytest.param({}, "json", id="an empty dict"),
        pytest.param({"a": np.zeros(2), "b": 1}, None, id="an array beside a number"),
        pytest.param({1: np.zeros(2)}, None, id="an array under a number"),
        pytest.param([np.zeros(2)], None, id="a list of arrays"),
        pytest.param(Markdown("# a"), "markdown", id="Markdown is text of its own"),
        pytest.param(Html("<p>"), "html", id="so is HTML"),
        pytest.param(type("Mine", (str,), {})("a"), "text", id="other text is text"),
        pytest.param(Table([{"a": 1}]), "table", id="a table is no list"),
        pytest.param(Metrics(a=1), "json", id="metrics are JSON"),
        pytest.param(pd.Series([1]), "parquet", id="a Series"),
        pytest.param(pd.DataFrame({"a": [1]}).groupby("a"), None, id="another type of the same package"),
    ],
)
def test_the_row_of_a_value(value, codec):
    found = codec_for(value)
    assert (found and found.name) == codec


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        pytest.param("pandas.core.frame.DataFrame", "parquet", id="a class by the module that has it"),
        pytest.param("airflow_provider_mlx.Markdown", "markdown", id="a type of ours"),
        pytest.param("airflow_provider_mlx.runtime.Table", "table", id="a type of ours, as a job imports it"),
        pytest.param("dict[torch.Tensor]", "safetensors", id="tensors by name"),
        pytest.param("dict[numpy.ndarray]", "npz", id="arrays by name"),
        pytest.param("dict[transformers.BertModel]", "transformers", id="models by name"),
        pytest.param("dict[pandas.DataFrame]", "json", id="a dict of other things: the value tells"),
        pytest.param("transformers.BertForMaskedLM", "transformers", id="a class of a family"),
        pytest.param("xgboost.XGBClassifier", "xgboost", id="XGBoost's wrapper is not scikit-learn's"),
        pytest.param("xgboost.sklearn.XGBClassifier", "xgboost", id="the same by its module"),
        pytest.param("plotly.graph_objects.Figure", "plotly", id="Plotly's figure"),
        pytest.param("plotly.graph_objs.Figure", "plotly", id="the same by its other name"),
        pytest.param("torch.nn.Module", None, id="a module is code"),
        pytest.param("lightgbm.LGBMClassifier", None, id="LightGBM's wrapper"),
        pytest.param("numpy.matrix", None, id="a subclass of an array"),
    ],
)
def test_the_row_of_an_annotation(name, codec):
    found = codec_for_type_name(name)
    assert (found and found.name) == codec


def test_the_packages_of_a_dict_of_tensors():
    assert packages_for("dict[torch.Tensor]") == ("torch", "safetensors")
    assert packages_for("xgboost.Booster") == ("xgboost",)
    assert packages_for("xgboost.XGBRanker") == ("xgboost", "scikit-learn")
    assert packages_for("dict") == packages_for("dict[pandas.DataFrame]") == ()


def test_a_subclass_is_refused_with_the_way_out_of_its_base():
    """A class that looks like PyTorch's: what counts is the name, and nothing is imported."""
    module = type("Module", (), {"__module__": "torch.nn.modules.module"})
    net = type("Net", (module,), {"__module__": "step"})
    assert codec_for(net()) is None
    assert "state_dict()" in way_out(net())
    assert way_out(3) == ""


def test_types_are_named_by_the_table():
    assert type_name(pd.Series) == "pandas.Series"
    assert type_name(Markdown) == "airflow_provider_mlx.Markdown"
    assert type_name(pd.Timestamp) == "pandas.Timestamp"


def test_rows_do_not_take_each_others_types():
    listed = [name for row in CODECS.values() for name in row.types]
    assert len(listed) == len(set(listed))
    assert {row.name for row in CODECS.values()} == set(CODECS)


def test_a_series_grows_a_line_at_a_time(tmp_path):
    series = Series(tmp_path / "points.jsonl")
    assert list(series) == []
    series.append({"name": "loss", "step": 0, "value": float("inf"), "at": "2026-11-23T08:00:00+00:00"})
    series.append({"name": "loss", "step": 1, "value": 0.5, "at": "2026-11-23T08:00:01+00:00"})
    assert [point["value"] for point in series] == [float("inf"), 0.5]
    assert len(series.path.read_text().splitlines()) == 2
    series.path.write_text(series.path.read_text()[:-5])
    with pytest.raises(ValueError, match="line 2 is no point"):
        list(series)
