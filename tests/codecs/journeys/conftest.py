"""Jobs in the environment of frameworks, and plain tasks in this one, with the frameworks behind Airflow's packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from tests.codecs.journeys import table
from tests.contract.conftest import s3_endpoint, s3_store  # noqa: F401  (fixtures)
from tests.unit.runtime.conftest import Job

BUILD = Path(__file__).parents[3] / ".build"


@dataclass(frozen=True)
class Place:
    """An artifact root, and how each side reaches it."""

    root: str
    store: ObjectStore
    gate: Gate
    access: dict[str, Any]

    def of_job(self, attempt: str) -> Callable[[dict[str, Any]], None]:
        """A change of a job's context: results go here."""

        def change(context: dict[str, Any]) -> None:
            context["outputs"]["uri"] = f"{self.root}/{attempt}"
            context["store"] = self.access

        return change

    def result(self, attempt: str) -> dict[str, Any]:
        return json.loads(self.store.read(f"{self.root}/{attempt}/result.json") or b"null")


@pytest.fixture
def places(tmp_path: Path, s3_endpoint: str, s3_store: ObjectStore) -> list[Place]:  # noqa: F811
    """A file system, and S3."""
    local = (tmp_path / "root").as_uri()
    bucket = f"s3://artifacts/{tmp_path.name}"  # a root of its own: objects are never overwritten
    options = {"s3": {"endpoint_url": s3_endpoint, "region": "eu-central-1"}}
    return [
        Place(root, store, Gate((root,)), {"mounts": [], "options": options, "allowed": [root]})
        for root, store in ((local, ObjectStore()), (bucket, s3_store))
    ]


@pytest.fixture
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Job:
    """Jobs that run with the frameworks."""
    python = BUILD / request.config.getoption("--group") / "bin" / "python"
    assert python.exists(), f"`make {python.parents[1].relative_to(BUILD.parent)}/.ready` has not run"
    credentials = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
    # One thread each: several jobs at once on a small machine.
    return Job(tmp_path, str(python), env={**credentials, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})


@pytest.fixture
def plain_task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a plain task's: Airflow's packages first, the frameworks behind them."""
    python = BUILD / request.config.getoption("--group") / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setattr(sys, "path", [*sys.path, packages])
    (tmp_path / "task").mkdir()
    monkeypatch.chdir(tmp_path / "task")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    table.note(report)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and not hasattr(session.config, "workerinput"):
        table.write(session.config.getoption("--group"))
