"""One scheduler, one artifact root and one cache of packages for the whole session; a report that says why."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.standalone import Standalone
from tests.e2e.harness import DAGS, DEMO, EXAMPLES, Environment, Home, Lab, processes_about
from tests.e2e.traced import Traced, traced_airflow
from tests.greens import unclaimed
from tests.openlineage.collecting import events_into


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session's folder; when everything has ended, no process may be left that knows of it."""
    folder = tmp_path_factory.mktemp("airflow")
    yield folder
    until = time.monotonic() + 20
    while left := list(processes_about(folder)):
        if time.monotonic() > until:
            raise AssertionError("processes of these tests are still there:\n" + "\n".join(left))
        time.sleep(0.5)
    for environments in folder.glob("**/local/environments"):
        shutil.rmtree(environments, ignore_errors=True)  # gigabytes, of no use in a report


@pytest.fixture(scope="session", autouse=True)
def _every_green_is_proved(base: Path) -> Iterator[None]:
    """
    When all tests are over, no step in any database of the session may be green without a claim that proves it.

    Every home lies in the session's folder, and so does every artifact root: the shared one, or the home's own.
    """
    yield
    roots = [folder for folder in (base / "mlx", *base.glob("*/mlx")) if folder.is_dir()]
    found = {
        database.parent.name: greens
        for database in sorted(base.glob("*/airflow.db"))
        if (greens := list(unclaimed(database, roots)))
    }
    assert not found, f"green without a claim of that try: {found}"


@pytest.fixture(scope="session")
def local_root(base: Path) -> Path:
    """The artifact root that the homes of this session share, so that packages are installed once."""
    return base / "mlx"


@pytest.fixture(scope="session")
def make_home(base: Path, local_root: Path) -> Callable[..., Home]:
    """Makes an AIRFLOW_HOME with a fresh database."""

    def make(name: str, dags: Path, *, environment: Environment = DEMO, shared: bool = True, **env: str) -> Home:
        home = Home(environment, base / name, dags, local_root=local_root if shared else None, env=env)
        return home.migrate(base / f"{environment.name}.db")

    return make


@pytest.fixture(scope="session")
def lab(base: Path, local_root: Path) -> Iterator[Lab]:
    """A running Airflow 3.3 with all example DAGs and those of ``dags/lab``."""
    DEMO.check()
    dags = base / "lab-dags"
    shutil.copytree(EXAMPLES, dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DAGS / "lab", dags / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    env = {
        "AIRFLOW__MLX__LOCAL_ROOT": str(local_root),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
        "AIRFLOW__CORE__PARALLELISM": "3",
        **events_into(base / "lab" / "events"),
    }
    with Standalone(bin_folder=DEMO.bin, home=base / "lab", dags=dags, env=env) as airflow:
        airflow.ask("pools", {"name": "small", "slots": 1, "include_deferred": False})
        airflow.wait_for_dag("script_step")
        yield Lab(airflow, dags, local_root, log_of_start=airflow.log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def traced(base: Path, request: pytest.FixtureRequest) -> Iterator[Traced]:
    """
    A running Airflow that sends its lineage to itself, after one run.

    For a module: started anew it costs half a minute, and left running it would take a fifth of the machine until the end.
    """
    DEMO.check()
    folder = base / f"traced-{request.module.__name__.rpartition('.')[2]}"
    folder.mkdir()
    with traced_airflow(DEMO.bin, folder) as traced:
        yield traced


@pytest.fixture(scope="session", autouse=True)
def _without_an_airflow_of_the_caller() -> Iterator[None]:
    """No setting of whoever runs the tests reaches the Airflow under test."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith("AIRFLOW"):
            patch.delenv(name)
    yield
    patch.undo()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """A failed test shows the ends of the logs of the runs that it looked at."""
    report = yield
    if report.failed and call.when == "call":
        looked_at = [*getattr(item, "looked_at", []), *getattr(item, "funcargs", {}).values()]
        for thing in looked_at:
            if callable(getattr(thing, "tail", None)):
                report.sections.append((f"end of the logs of {getattr(thing, 'dag_id', thing)}", thing.tail()))
    return report


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Hands a run or a finished command on, and has its log's end shown if this test fails."""
    seen: list[Any] = []
    request.node.looked_at = seen

    def remember(thing: Any) -> Any:
        seen.append(thing)
        return thing

    return remember
