"""The decorator as editors and type checkers see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_DAG = """
from airflow_provider_mlx import Resources, mlx_task

@mlx_task(resources=Resources(cpu=1), requirements=["pandas"])
def train(depth: int, name: str = "x") -> float:
    return 0.5

@mlx_task
def bare(x: int) -> int:
    return x

reveal_type(train.function)
reveal_type(bare.function)

@mlx_task(target=3)
def wrong_target() -> int:
    return 1

@mlx_task(requirements={"a": 1})
def wrong_requirements() -> int:
    return 1
"""


def mypy(tmp_path: Path, text: str) -> str:
    """What mypy says of a DAG file."""
    (tmp_path / "typed_dag.py").write_text(text)
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(Path(".mypy_cache").absolute()), "typed_dag.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return answer.stdout


def test_a_step_keeps_its_signature_and_a_wrong_option_is_an_error(tmp_path: Path) -> None:
    said = mypy(tmp_path, _DAG)
    assert 'Revealed type is "def (depth: int, name: str =) -> float"' in said.replace("builtins.", ""), said
    assert 'Revealed type is "def (x: int) -> int"' in said.replace("builtins.", ""), said
    wrong = [line for line in said.splitlines() if "No overload variant" in line]
    assert len(wrong) == 2 and "int" in wrong[0] and "dict[str, int]" in wrong[1], said
