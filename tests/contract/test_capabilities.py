"""The capability matrix is what plans refuse, and production never imports pytest."""

from __future__ import annotations

import os
import subprocess
import sys

from airflow_provider_mlx.backends.local.backend import LocalBackend
from airflow_provider_mlx.testing import FakeBackend, capability_matrix, capability_row


def test_a_row_says_what_is_refused_and_why():
    row = capability_row(LocalBackend)
    assert row["cpu"] == row["secrets"] == row["function"] == "✓"
    assert row["spot"] == "refused: there is nothing to take back"
    assert row["container command"] == "refused: a container command needs a container runtime"
    assert row["fractional gpu"] == row["gpu"], "who has no GPU has no share of one"
    assert row["deferral"].startswith("refused: ")
    assert capability_row(FakeBackend)["gpu"] == capability_row(FakeBackend)["deferral"] == "✓"
    assert capability_row(FakeBackend)["fractional gpu"] == "refused: the fake has whole GPUs only"


def test_the_matrix_is_a_table_of_markdown():
    lines = capability_matrix([LocalBackend, FakeBackend]).splitlines()
    assert lines[:3] == ["|  | `local` | `fake` |", "| --- | --- | --- |", "| cpu | ✓ | ✓ |"]
    assert lines[-1] == "| deferral | refused: a waiting task keeps its worker slot | ✓ |"
    assert {line.count("|") for line in lines} == {4}
    assert len(lines) == 2 + len(capability_row(LocalBackend))


def test_pytest_is_imported_by_the_contract_only():
    code = "import sys, airflow_provider_mlx.testing as t; t.FakeCluster(); assert 'pytest' not in sys.modules; "
    code += "assert 'airflow' not in sys.modules; t.BackendContract; assert 'pytest' in sys.modules"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
