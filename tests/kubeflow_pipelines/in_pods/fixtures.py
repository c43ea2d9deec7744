"""
Kubeflow Pipelines in real pods, as pytest fixtures. A ``conftest.py`` takes what it needs::

    from tests.kubeflow_pipelines.in_pods.fixtures import kubeflow_in_pods, running_kubeflow_in_pods  # noqa: F401

One is started per test process. Where something is not built, that is a failure with ``MLX_TESTS_REQUIRE_ALL=1``, and
else a skip that says how to build it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import needed

from .server import ServerInPods, running_in_pods


@pytest.fixture(scope="session")
def running_kubeflow_in_pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInPods]:
    """The process's server, for other fixtures; tests take :func:`kubeflow_in_pods`."""
    with needed(), running_in_pods(tmp_path_factory.mktemp("kubeflow") / "state") as server:
        yield server


@pytest.fixture
def kubeflow_in_pods(running_kubeflow_in_pods: ServerInPods) -> Iterator[ServerInPods]:
    """A real server whose runs run, healthy and with nothing counted yet."""
    running_kubeflow_in_pods.relay.calls.clear()
    yield running_kubeflow_in_pods
    running_kubeflow_in_pods.relay.heal()
