"""
The server as pytest fixtures. A ``conftest.py`` takes what it needs::

    from tests.kubeflow_pipelines.fixtures import kubeflow_client, kubeflow_server, running_kubeflow  # noqa: F401

One is started per test process. Where it is not built, that is a failure with ``MLX_TESTS_REQUIRE_ALL=1``, as in CI, and
else a skip that says how to build it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from tests.cluster.fixtures import needed

from .server import Server, running_server


@pytest.fixture(scope="session")
def running_kubeflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The process's server, for other fixtures; tests take :func:`kubeflow_server`."""
    with needed(), running_server(tmp_path_factory.mktemp("kubeflow") / "state") as server:
        yield server


@pytest.fixture
def kubeflow_server(running_kubeflow: Server) -> Iterator[Server]:
    """A real API server, healthy and with nothing counted yet."""
    running_kubeflow.relay.calls.clear()
    yield running_kubeflow
    running_kubeflow.relay.heal()


@pytest.fixture
def kubeflow_client(kubeflow_server: Server) -> Iterator[KubeflowPipelinesClient]:
    """Our client of it."""
    client = KubeflowPipelinesClient(lambda: ServerAccess(parse_address(kubeflow_server.address)))
    yield client
    client.close()
