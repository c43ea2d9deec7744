"""Operators without a database, planted secrets, and a watch on what must never happen in an Airflow process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.no_unpickling import may_unpickle, nothing_unpickles  # noqa: F401  (fixtures)
from tests.security.canaries import Canaries
from tests.unit.lineage.conftest import events_file, use_transport  # noqa: F401  (fixtures)
from tests.unit.operators.conftest import airflow_home, execute, load  # noqa: F401  (fixtures)
from tests.unit.runtime.conftest import Job, job  # noqa: F401  (fixtures)
from tests.unit.triggers.conftest import Lines, scene  # noqa: F401  (fixtures)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What every step logs."""
    from airflow_provider_mlx.operators import execution

    lines, ports_for = Lines(), execution.ports_for
    monkeypatch.setattr(
        execution, "ports_for", lambda context, *, log, **options: ports_for(context, log=lines, **options)
    )
    return lines


@pytest.fixture
def remote_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend `fake-remote`, registered as a third party registers one: by an entry point."""
    from airflow_provider_mlx.backends import registry

    info = tmp_path / "plugin" / "fake_remote-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-remote\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[airflow_provider_mlx.backends]\nfake-remote = airflow_provider_mlx.testing.remote.backend:RemoteBackend\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(info.parent)])
    for cached in (registry.backend_class, registry.backend_names):
        cached.cache_clear()
    yield
    for cached in (registry.backend_class, registry.backend_names):
        cached.cache_clear()
