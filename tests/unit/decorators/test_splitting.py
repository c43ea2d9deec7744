"""Which results become several outputs, by the annotation alone."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

HEAD = """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from airflow.sdk import DAG, task
from airflow_provider_mlx import Metrics
if TYPE_CHECKING:
    import torch
    import numpy as np
    import pandas as pd

class Base(TypedDict):
    table: pd.DataFrame

class Child(Base):
    note: str

@dataclass
class Record:
    a: int

class Plain:
    a: int

"""


@pytest.mark.parametrize(
    ("annotation", "split"),
    [
        pytest.param("Child", True, id="a TypedDict, inherited fields and all"),
        pytest.param("Record", True, id="a dataclass"),
        pytest.param("dict[str, int]", True, id="a dict, by Airflow's rule"),
        pytest.param("Metrics", True, id="metrics: a mapping"),
        pytest.param("dict[str, torch.Tensor]", False, id="a state dict, which one codec takes whole"),
        pytest.param("dict[str, np.ndarray]", False, id="arrays by name, too"),
        pytest.param("pd.DataFrame", False, id="a frame"),
        pytest.param("int", False, id="a number"),
    ],
)
def test_an_annotation_says_whether_a_result_is_split(
    annotation: str, split: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"@task.mlx\ndef step() -> {annotation}: ...\nwith DAG('d', schedule=None) as dag:\n    step()\n"
    (tmp_path / "split.py").write_text(HEAD + textwrap.dedent(body))
    spec = importlib.util.spec_from_file_location("split", tmp_path / "split.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "split", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert module.dag.task_dict["step"].multiple_outputs is split
