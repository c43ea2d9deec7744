"""A failed step, replayed on a fresh clone of the DAG repository: only the artifact store is shared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Environment, Finished, Home, attempts, clean_environment, plain

_DAG = """\
from __future__ import annotations

from airflow.sdk import dag, task

FACTOR = 3


def share(value: int) -> float:
    return FACTOR / value


@dag(schedule=None)
def shares():
    @task.mlx
    def numbers() -> list:
        return [1, 2, 0]

    @task.mlx
    def total(values: list) -> float:
        found = 0.0
        for value in values:
            found += share(value)
        return found

    total(numbers())


shares()
"""
_FAILING = _DAG.splitlines().index("    return FACTOR / value") + 1


class Clone:
    """Somebody else's checkout of the DAGs, with an AIRFLOW_HOME without a database."""

    def __init__(self, environment: Environment, dags: Path, folder: Path, store: Path) -> None:
        self.dags = folder / "dags"
        shutil.copytree(dags, self.dags, ignore=shutil.ignore_patterns("__pycache__"))
        self._python = environment.bin / "python"
        self._store = store
        self._env = {
            **clean_environment(),
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "NO_COLOR": "1",
        }

    def replay(self, run_id: str, *options: str, typed: str = "") -> Finished:
        """The command, with what is typed into a pipe."""
        command = ["replay", "shares", run_id, "total", "--root", self._store.as_uri(), *options]
        done = subprocess.run(
            [self._python, "-m", "airflow_provider_mlx", *command], env=self._env, cwd=self.dags, input=typed,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return Finished(done.returncode, plain(done.stdout), plain(done.stderr))

    def edit(self, old: str, new: str) -> None:
        """Change the DAG file."""
        file = self.dags / "shares.py"
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture(scope="module")
def failed(make_home: Callable[..., Home], tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    dags = tmp_path_factory.mktemp("repository")
    (dags / "shares.py").write_text(_DAG)
    home = make_home("replay", dags, shared=False)
    _, run = home.dags_test("shares")
    assert run.states() == {"numbers": "success", "total": "failed"}
    return home, run.run_id


@pytest.fixture
def clone(failed: tuple[Home, str], tmp_path: Path) -> Clone:
    home, _ = failed
    return Clone(home.environment, home.dags, tmp_path, home.root)


def ledger_of(home: Home, run_id: str) -> Path:
    return next(path for path in attempts(home.root, "shares", run_id) if "/total/" in str(path))


def snapshot(home: Home) -> dict[str, bytes]:
    """Every object of the artifact root."""
    objects = [path for top in ("runs", "bundles") for path in (home.root / top).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in objects}


def test_the_recorded_code_fails_at_the_same_line_and_the_ledger_stays_as_it_is(
    failed: tuple[Home, str], clone: Clone, show: Callable[[Any], Any]
) -> None:
    home, run_id = failed
    before = snapshot(home)
    done = show(clone.replay(run_id))
    assert done.code == 1
    assert f"at shares.py:{_FAILING}, in share" in done.stdout
    assert "ZeroDivisionError, as here" in done.stdout
    assert snapshot(home) == before


def test_the_debugger_stops_at_the_failing_line_of_the_dag_file(
    failed: tuple[Home, str], clone: Clone, show: Callable[[Any], Any]
) -> None:
    done = show(clone.replay(failed[1], "--debug", typed="p value, FACTOR\nup\np values\nq\n"))
    assert done.code == 1
    assert f"> {clone.dags / 'shares.py'}({_FAILING})share()" in done.stdout
    assert "-> return FACTOR / value" in done.stdout
    assert "(0, 3)" in done.stdout
    assert "[1, 2, 0]" in done.stdout


def test_a_changed_dag_file_is_not_shown_as_if_it_had_run(
    failed: tuple[Home, str], clone: Clone, show: Callable[[Any], Any]
) -> None:
    clone.edit("FACTOR / value", "FACTOR / (value or 1)")
    done = show(clone.replay(failed[1], "--debug", typed="q\n"))
    assert "mlx_step_source.py" in done.stdout
    assert "-> return FACTOR / value" in done.stdout


def test_the_fixed_working_tree_passes_with_the_recorded_arguments(
    failed: tuple[Home, str], clone: Clone, show: Callable[[Any], Any]
) -> None:
    clone.edit("FACTOR / value", "FACTOR / (value or 1)")
    done = show(clone.replay(failed[1], "--code", "working-tree"))
    assert done.code == 0
    assert "return_value = 7.5" in done.stdout


def test_code_that_nothing_outside_the_store_confirms_is_not_run(
    failed: tuple[Home, str], clone: Clone, show: Callable[[Any], Any], request: pytest.FixtureRequest
) -> None:
    home, run_id = failed
    os.chmod(home.root, 0o775)  # a shared folder: others may write there
    request.addfinalizer(lambda: os.chmod(home.root, 0o755))
    refused = show(clone.replay(run_id))
    assert refused.code == 1
    assert "nothing outside the artifact root confirms the recorded code" in refused.stderr
    assert "--trust-ledger" in refused.stderr
    digest = json.loads((ledger_of(home, run_id) / "job.json").read_text())["request_digest"]
    confirmed = show(clone.replay(run_id, "--digest", digest[:32]))
    assert "confirms the recorded request" in confirmed.stdout
    assert f"at shares.py:{_FAILING}, in share" in confirmed.stdout
    wrong = show(clone.replay(run_id, "--digest", "0" * 32))
    assert wrong.code == 1
    assert "ZeroDivisionError" not in wrong.stdout


def test_a_changed_bundle_is_not_run(failed: tuple[Home, str], clone: Clone, tmp_path: Path) -> None:
    home, run_id = failed
    shutil.copytree(home.root, tmp_path / "store")
    for bundle in (tmp_path / "store" / "bundles").iterdir():
        bundle.write_bytes(bundle.read_bytes() + b"more")
    clone._store = tmp_path / "store"
    done = clone.replay(run_id, "--trust-ledger")
    assert done.code == 1
    assert "nothing of it is run" in done.stderr
