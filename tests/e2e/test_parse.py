"""What parsing the examples costs an Airflow: nothing heavy is imported, nothing is opened, and it is deterministic."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import EXAMPLES, Home

PROBE = Path(__file__).resolve().parent / "probe_parse.py"
HEAVY = {"kubernetes", "boto3", "botocore", "pandas", "numpy", "sklearn", "pyarrow", "obstore", "google", "azure"}


@pytest.fixture(scope="module")
def probes(make_home: Callable[..., Home]) -> list[Mapping[str, Any]]:
    """Two parses of all examples, each in a fresh interpreter with another order of its sets."""
    home = make_home("parse", EXAMPLES)
    answers = []
    for seed in ("1", "2"):
        done = home.run("python", str(PROBE), env={"PYTHONHASHSEED": seed})
        assert done.code == 0, done.tail()
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return answers


def test_all_examples_parse(probes: list[Mapping[str, Any]]) -> None:
    for probe in probes:
        assert probe["errors"] == {}
        assert set(probe["hashes"]) == {
            "digits_quality_gate", "hyperparameters", "mixed_tasks", "mlx_maintenance", "script_step", "switch_stack",
            "hybrid_targets", "control_flow", "refresh_table", "retrain", "resume_training",
            "fallback_list", "gpu_step", "half_a_gpu", "queued_step", "two_nodes",
            "hybrid", "pipeline", "script_mode", "spot_training",
            "compiled_pipeline", "kubeflow_to_sagemaker", "python_pipeline", "steps", "one_graph",
        }  # fmt: skip


def test_parsing_imports_no_framework_and_no_client(probes: list[Mapping[str, Any]]) -> None:
    for probe in probes:
        assert {name.partition(".")[0] for name in probe["modules"]} & HEAVY == set()
        assert not [name for name in probe["ours"] if name.startswith("airflow_provider_mlx.jobs")]
        assert not [name for name in probe["ours"] if name.startswith("airflow_provider_mlx.backends")]


def test_parsing_opens_dag_files_and_stack_files_only(probes: list[Mapping[str, Any]]) -> None:
    for probe in probes:
        others = [path for path in probe["opened"] if not path.startswith(tuple(probe["prefixes"]))]
        within = [Path(path).relative_to(EXAMPLES).as_posix() for path in others if path.startswith(str(EXAMPLES))]
        assert {Path(path).name for path in within} > {"digits_quality_gate.py", "hybrid_targets.py"}, "it is watched"
        assert [path for path in others if not path.startswith(str(EXAMPLES))] == []
        # Airflow itself looks whether any other file is a zip, and so opens it
        scanned = [path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("pipelines/*.yaml")]
        assert [path for path in within if not path.endswith((".py", ".pyc", "mlx_stacks.yaml", *scanned))] == []
        installed = [path for path in probe["opened"] if path not in others]
        assert [path for path in installed if not path.endswith((".py", ".pyc", ".so", "METADATA", ".txt"))] == []


def test_parsing_connects_to_nothing_and_starts_nothing(probes: list[Mapping[str, Any]]) -> None:
    for probe in probes:
        assert (probe["network"], probe["started"]) == ([], [])


def test_every_process_serializes_the_same_dag(probes: list[Mapping[str, Any]]) -> None:
    first, second = (probe["hashes"] for probe in probes)
    assert first == second
    assert len(set(first.values())) == len(first)
