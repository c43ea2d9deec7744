"""
What of the graph a user sees: the jobs of DAGs that they may read, and the datasets of these.

Another DAG's job is a node without a name, so that what lies behind it still hangs together; a dataset that only such
jobs know is not there at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from airflow_provider_mlx.lineage.store.graph import Graph, Node, Origin, dags_of_datasets, nodes_of

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Visible:
    """
    One user's view, for one request.

    :param dags: that they may read.
    :ivar connection: by which the store is asked.
    """

    def __init__(self, connection: Connection, dags: AbstractSet[str]) -> None:
        self.connection = connection
        self._dags = dags

    def graph(self, whole: Graph) -> Graph:
        """A part of the graph, as they see it."""
        nodes = self.nodes(whole.nodes)
        there = {node.key for node in nodes}
        edges = tuple((source, target) for source, target in whole.edges if source in there and target in there)
        return Graph(nodes, edges, whole.cut)

    def nodes(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Nodes as they see them."""
        known = self._datasets(node.key for node in nodes if node.kind != "job")
        seen = (self._job(node) if node.kind == "job" else node for node in nodes)
        return tuple(node for node in seen if node.kind == "job" or node.key in known)

    def sees(self, key: str) -> bool:
        """Whether they see this job or dataset by its name."""
        return any(node.name for node in self.nodes(tuple(nodes_of(self.connection, [key]))))

    def runs(self, runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A visible job's runs, with the datasets that they see."""
        every = list(runs)
        known = self._datasets(one["dataset"] for run in every for one in run["data"])
        return [{**run, "data": [one for one in run["data"] if one["dataset"] in known]} for run in every]

    def origins(self, origins: Sequence[Origin]) -> list[Origin]:
        """How a version came to be, as far as they see its datasets."""
        known = self._datasets(key for one in origins for key in (one.dataset, *(name for name, _ in one.read)))
        return [
            Origin(one.dataset, one.version, one.run, one.job, tuple(it for it in one.read if it[0] in known))
            for one in origins
            if one.dataset in known
        ]

    def _job(self, node: Node) -> Node:
        return node if node.dag in self._dags else Node(node.key, "job", "", "")

    def _datasets(self, keys: Iterable[str]) -> set[str]:
        found = dags_of_datasets(self.connection, set(keys))
        return {key for key, dags in found.items() if dags & self._dags}
