"""
The cluster as pytest fixtures. A ``conftest.py`` takes what it needs::

    from tests.cluster.fixtures import cluster, namespace, own_cluster, trainer_cluster  # noqa: F401

``MLX_TEST_KUBECONFIG`` names another cluster, which is used as it is; without it one is started on this machine, once
for all test processes of a session. ``MLX_TESTS_REQUIRE_ALL=1``, as in CI, makes a failure of what is missing; else it
is a skip that says what to install.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, OwnCluster, take_down
from .layout import Layout
from .locks import alone
from .problems import PartMissing
from .users import mark_use, users


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Kubernetes with two nodes, shared with the other test processes of the session."""
    if kubeconfig := os.environ.get("MLX_TEST_KUBECONFIG"):
        yield _brought(Path(kubeconfig))
        return
    base = tmp_path_factory.getbasetemp()
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with needed(), shared_cluster(session / "cluster") as started:
        yield started


@pytest.fixture(scope="session")
def own_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """
    A cluster whose nodes and API server a test may stop, and start again when it is done.

    With several test processes, each gets one of its own. A cluster that was brought is not broken: a skip.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        with needed(), shared_cluster(tmp_path_factory.getbasetemp() / "own-cluster") as started:
            yield started
        return
    cluster = request.getfixturevalue("cluster")
    if not isinstance(cluster, OwnCluster):
        pytest.skip("breaks the cluster, and MLX_TEST_KUBECONFIG names one that is not ours to break")
    yield cluster


@pytest.fixture(scope="session")
def trainer_cluster(cluster: Cluster) -> Cluster:
    """The same, with JobSet's and Kubeflow Trainer's controllers."""
    with needed():
        if isinstance(cluster, OwnCluster):
            with alone(cluster.layout.folder):
                cluster.start_trainer()
        elif not cluster.serves("trainer.kubeflow.org"):
            raise PartMissing("Kubeflow Trainer is not installed in the cluster of MLX_TEST_KUBECONFIG → install it")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace; what is left in it goes with it."""
    name = cluster.new_namespace()
    yield name
    cluster.delete_namespace(name)


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """What is missing inside fails the test where everything must run, and skips it elsewhere."""
    try:
        yield
    except PartMissing as missing:
        if os.environ.get("MLX_TESTS_REQUIRE_ALL") == "1":
            raise
        pytest.skip(str(missing))


@contextlib.contextmanager
def shared_cluster(folder: Path, *, nodes: int = 2) -> Iterator[OwnCluster]:
    """The cluster of a folder: who comes first starts it, who leaves last ends it."""
    with alone(folder):
        if not Layout(folder).facts.exists():
            OwnCluster.up(folder, nodes=nodes, used_by_me=True)
        mine = mark_use(folder)
    try:
        yield OwnCluster(folder)
    finally:
        with alone(folder):
            mine.unlink()
            if not users(folder):
                take_down(folder)


def _brought(kubeconfig: Path) -> Cluster:
    """A cluster that was there before; one that `python -m tests.cluster up` has started is ours all the same."""
    return OwnCluster(kubeconfig.parent) if Layout(kubeconfig.parent).facts.exists() else Cluster(kubeconfig)
