"""The cluster under test is the one that all other tests use."""

from tests.cluster.fixtures import cluster, namespace, own_cluster, trainer_cluster

__all__ = ["cluster", "namespace", "own_cluster", "trainer_cluster"]
