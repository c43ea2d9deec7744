"""One environment of the matrix under test: ``pytest tests/matrix --airflow NAME``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_mlx.testing.remote.control import RemoteServer
from demo.standalone import Standalone
from tests.e2e.harness import Drive, Environment, Home, Lab
from tests.matrix.versions import VERSIONS, Version

HERE = Path(__file__).resolve().parent
SITE = HERE.parent / "faults" / "site"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--airflow``."""
    parser.addoption("--airflow", required=True, choices=[version.name for version in VERSIONS])


@pytest.fixture(scope="session")
def version(request: pytest.FixtureRequest) -> Version:
    """Which one."""
    return next(version for version in VERSIONS if version.name == request.config.getoption("--airflow"))


@pytest.fixture(scope="session")
def environment(version: Version) -> Environment:
    """Its virtual environment."""
    assert (version.folder / "bin" / "airflow").exists(), (
        f"build it first: python -m tests.matrix.versions build {version.name}"
    )
    return Environment(f"matrix/{version.name}")


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DAG files, with a stack whose root is this session's."""
    folder = tmp_path_factory.mktemp("matrix") / "dags"
    shutil.copytree(HERE / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    stacks = folder / "mlx_stacks.yaml"
    stacks.write_text(stacks.read_text().replace("@ROOT@", (folder.parent / "root").as_uri()))
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, environment: Environment) -> Iterator[RemoteServer]:
    """The other side, whose jobs run on the interpreter under test."""
    with RemoteServer(tmp_path_factory.mktemp("server"), python=str(environment.bin / "python")) as server:
        yield server


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory, environment: Environment, dags: Path) -> Iterator[Drive]:
    """``dag.test()`` of two DAGs."""
    folder = tmp_path_factory.mktemp("home")
    home = Home(environment, folder / "airflow", dags, local_root=folder / "mlx", env={"PYTHONPATH": str(SITE)})
    drive = Drive(home.migrate(), "values", "failing")
    yield drive
    drive.stop()


@pytest.fixture(scope="session")
def lab(
    version: Version,
    environment: Environment,
    dags: Path,
    server: RemoteServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A scheduler, a worker and a triggerer of this version."""
    if not version.has_triggers_that_keep_promises:
        pytest.skip("Airflow 2 is the second tier: no deferral, and its REST API is another one")
    home = tmp_path_factory.mktemp("lab")
    env = {
        "PYTHONPATH": str(SITE),
        "AIRFLOW_CONN_FAR": json.dumps(server.connection()),
        "AIRFLOW__MLX__DEPLOYMENT_ID": f"matrix-{version.name}",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
        "PATH": f"{environment.bin}{os.pathsep}{os.environ['PATH']}",
    }
    with Standalone(bin_folder=environment.bin, home=home, dags=dags, env=env) as airflow:
        yield Lab(airflow, dags, dags.parent / "root", log_of_start="")
