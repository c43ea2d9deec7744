"""
What of the graph a user sees: the jobs of DAGs that they may read, and the datasets of these.

Another DAG's job is a node without a name, so that what lies behind it still hangs together; a dataset that only such
jobs know is not there at all, and neither are its runs, its steps and the versions that these wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.lineage.store.attempts import Attempt, attempt_of
from airflow_provider_mlx.lineage.store.graph import Graph, Node, Origin, dags_of, dags_of_datasets, nodes_of
from airflow_provider_mlx.lineage.store.runs import Part, Wanted, airflow_runs, step_rows
from airflow_provider_mlx.lineage.store.steps import step_of
from airflow_provider_mlx.lineage.store.tables import job, rows_with, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOOKS: Final = 10
_AT_ONCE: Final = 500
"""So many steps are looked at for one page: who may read few DAGs goes on with the next page."""

Place = tuple[str, str]
"""In the list of steps: when one began, and its run's id."""


class Visible:
    """
    One user's view, for one request.

    :param dags: that they may read.
    :ivar connection: by which the store is asked.
    """

    def __init__(self, connection: Connection, dags: AbstractSet[str]) -> None:
        self.connection = connection
        self._dags = dags

    def reads(self, dag: str) -> bool:
        """Whether they may read a DAG."""
        return dag in self._dags

    def graph(self, whole: Graph) -> Graph:
        """A part of the graph, as they see it."""
        nodes = self.nodes(whole.nodes)
        there = {node.key for node in nodes}
        edges = tuple((source, target) for source, target in whole.edges if source in there and target in there)
        return Graph(nodes, edges, whole.cut)

    def part(self, whole: Part) -> Part:
        """What one run of a DAG that they may read consists of, as they see it."""
        graph = self.graph(whole.graph)
        named = {node.key for node in graph.nodes if node.name}
        focus = tuple(key for key in whole.focus if key in named)
        return Part(graph, focus, {key: run for key, run in whole.runs.items() if key in named})

    def nodes(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Nodes as they see them."""
        known = self._datasets(node.key for node in nodes if node.kind != "job")
        seen = (self._job(node) if node.kind == "job" else node for node in nodes)
        return tuple(node for node in seen if node.kind == "job" or node.key in known)

    def sees(self, key: str) -> bool:
        """Whether they see this job or dataset by its name."""
        return any(node.name for node in self.nodes(tuple(nodes_of(self.connection, [key]))))

    def sees_run(self, id: str) -> bool:
        """Whether they see a run: it is of a job that they see."""
        return any(self.sees(row["job"]) for row in rows_with(self.connection, run, run.c.id, [id]))

    def attempt(self, id: str) -> Attempt | None:
        """The attempt that a visible run is, if it is one of a DAG that they may read."""
        found = (attempt_of(self.connection, row) for row in rows_with(self.connection, run, run.c.id, [id]))
        return next((one for one in found if one is not None and self.reads(one.dag)), None)

    def runs(self, runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A visible job's runs, with the datasets that they see."""
        every = list(runs)
        known = self._datasets(one["dataset"] for run in every for one in run["data"])
        return [{**run, "data": [one for one in run["data"] if one["dataset"] in known]} for run in every]

    def versions(self, versions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A visible dataset's versions, without those that jobs of other DAGs wrote."""
        known = self._jobs(one["job"] for one in versions)
        return [dict(one) for one in versions if one["job"] in known]

    def origins(self, origins: Sequence[Origin]) -> list[Origin]:
        """How a version came to be, as far as they see its datasets; a job of another DAG shows none of its runs."""
        known = self._datasets(key for one in origins for key in (one.dataset, *(name for name, _ in one.read)))
        jobs = self._jobs(one.job for one in origins)
        return [
            Origin(
                one.dataset, one.version, one.run if one.job in jobs else "", one.job,
                tuple(it for it in one.read if it[0] in known),
            )
            for one in origins
            if one.dataset in known
        ]  # fmt: skip

    def steps(self, wanted: Wanted, *, before: Place | None, limit: int) -> tuple[list[dict[str, Any]], Place | None]:
        """The steps that they see, and where the next page begins, if there is one."""
        if wanted.dag is not None and not self.reads(wanted.dag):
            return [], None
        found: list[dict[str, Any]] = []
        for _ in range(_LOOKS):
            rows = step_rows(self.connection, wanted, before=before, limit=_AT_ONCE)
            dags = dags_of(self.connection, [row["job_row"] for row in rows])
            seen = [row for row in rows if dags.get(row["job"]) in self._dags]
            taken = seen[: limit - len(found)]
            above = airflow_runs(self.connection, taken)
            found += [step_of(row, dags[row["job"]], above.get(row["id"])) for row in taken]
            if len(taken) < len(seen):
                return found, (taken[-1]["started"], taken[-1]["id"])
            if len(rows) < _AT_ONCE:
                return found, None
            before = (rows[-1]["started"], rows[-1]["id"])
            if len(found) >= limit:
                break
        return found, before

    def _job(self, node: Node) -> Node:
        return node if node.dag in self._dags else Node(node.key, "job", "", "")

    def _jobs(self, keys: Iterable[str]) -> set[str]:
        """Those of some jobs that they see."""
        found = dags_of(self.connection, rows_with(self.connection, job, job.c.key, keys))
        return {key for key, dag in found.items() if dag in self._dags}

    def _datasets(self, keys: Iterable[str]) -> set[str]:
        found = dags_of_datasets(self.connection, keys)
        return {key for key, dags in found.items() if dags & self._dags}
