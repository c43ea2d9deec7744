"""``lineage-graph``: the graph of a store, or of files of events, as text or as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.settings import read_lineage_settings

from .output import Answer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from airflow_provider_mlx.lineage.store.graph import Graph, Node
    from airflow_provider_mlx.lineage.store.opening import Store

PAGE: Final = Path(__file__).parent.parent / "lineage" / "server" / "page" / "standalone.js"
"""Of the page in one file; it is built, and so not in a bare checkout."""
_AT_ONCE: Final = 500
_SUFFIXES: Final = (".ndjson", ".jsonl", ".json", ".log", ".claimed")


def run_lineage_graph(arguments: argparse.Namespace) -> Answer:
    """Ask, and print or write."""
    _refuse_old_sqlalchemy()
    if (arguments.node and arguments.dag) or bool(arguments.dag) != bool(arguments.run):
        raise JobMisconfigured(
            "it is not clear what to show", remedy="name a `--node`, or a `--dag` with its `--run`, or neither"
        )
    script = _script() if arguments.html else ""
    with _opened(arguments) as (store, damaged), store.reading() as connection:
        title, graph = _wanted(connection, arguments)
        if arguments.html:
            from airflow_provider_mlx.lineage.store.recording import answers_of, page_of

            Path(arguments.html).write_text(
                page_of(title, graph, dict(answers_of(connection, graph)), script), encoding="utf-8"
            )
    said = [f"wrote {arguments.html}: {len(graph.nodes)} nodes"] if arguments.html else list(as_text(graph))
    if graph.cut:
        said.append("There is more, which was left out: name a `--node` and fewer steps.")
    if damaged:
        said.append(f"{damaged} lines are no events, and were passed over.")
    return Answer("\n".join(said))


def as_text(graph: Graph) -> Iterator[str]:
    """A job on each line, with what it reads and writes; then datasets that no shown job knows."""
    nodes = {node.key: node for node in graph.nodes}
    reads: dict[str, list[str]] = {}
    writes: dict[str, list[str]] = {}
    for source, target in graph.edges:
        if nodes[target].kind == "job":
            reads.setdefault(target, []).append(nodes[source].name)
        else:
            writes.setdefault(source, []).append(nodes[target].name)
    for node in sorted(graph.nodes, key=lambda node: node.name):
        if node.kind == "job":
            yield f"{node.name} ({node.state or 'no run'})"
            yield from (f"  ← {name}" for name in sorted(reads.get(node.key, ())))
            yield from (f"  → {name}" for name in sorted(writes.get(node.key, ())))
    joined = {key for edge in graph.edges for key in edge}
    yield from sorted(f"{node.name} ({node.kind})" for node in graph.nodes if node.key not in joined | _jobs(graph))


# --- what is shown ---------------------------------------------------------------------------------------------------


def _wanted(connection: Connection, arguments: argparse.Namespace) -> tuple[str, Graph]:
    from airflow_provider_mlx.lineage.store.graph import everything, neighbourhood
    from airflow_provider_mlx.lineage.store.runs import part_of

    if arguments.node:
        node = _node(connection, arguments.node)
        return node.name, neighbourhood(connection, node.key, up=max(0, arguments.up), down=max(0, arguments.down))
    if not arguments.dag:
        return "Lineage", everything(connection)
    found = part_of(connection, arguments.dag, arguments.run)
    if found is None:
        raise JobMisconfigured(
            f"nothing is known of the run {arguments.run!r} of {arguments.dag!r}",
            remedy="look at its id in Airflow, and at whether Airflow's own events are among those that were read",
        )
    return f"{arguments.dag}, {arguments.run}", found.graph


def _node(connection: Connection, name: str) -> Node:
    from airflow_provider_mlx.lineage.store.graph import named, search

    found = named(connection, name)
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(f"{node.key} ({node.kind} in {node.namespace})" for node in found)
        raise JobMisconfigured(f"several are named {name!r}", remedy=f"name one by its key: {keys}")
    near = ", ".join(node.name for node in search(connection, name, limit=5))
    raise JobMisconfigured(
        f"there is no job and no dataset named {name!r}", remedy=f"did you mean {near}?" if near else "look at the name"
    )


def _jobs(graph: Graph) -> set[str]:
    return {node.key for node in graph.nodes if node.kind == "job"}


# --- where it comes from ---------------------------------------------------------------------------------------------


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[Store, int]]:
    """The store, and how many lines of the files are no events."""
    from sqlalchemy.exc import SQLAlchemyError

    from airflow_provider_mlx.lineage.store.opening import Store

    url = "sqlite://" if arguments.events else arguments.store or read_lineage_settings().store
    if not url:
        raise JobMisconfigured(
            "there is no lineage store", remedy="name one with `--store`, or files of events with `--events`"
        )
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///").partition("?")[0]).exists():
        raise JobMisconfigured("there is no such SQLite file", remedy="look at the path after `sqlite:///`")
    try:
        store = Store.open(url)
    except (SQLAlchemyError, ImportError) as error:
        raise JobMisconfigured(
            f"the store cannot be opened: {type(error).__name__}", remedy="look at its URL, and at the driver"
        ) from None
    try:
        yield store, _read(store, arguments.events) if arguments.events else 0
    finally:
        store.close()


def _read(store: Store, paths: list[str]) -> int:
    from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source
    from airflow_provider_mlx.lineage.store.told import read_json

    damaged = 0
    lines = _lines(paths)
    while part := list(islice(lines, _AT_ONCE)):
        documents: list[Any] = []
        for line in part:
            try:
                documents.append(read_json(line))
            except (ValueError, RecursionError):
                damaged += 1
        damaged += len(store.ingest(documents, Source(AIRFLOW, airflow=True)).refused)
    return damaged


def _lines(paths: list[str]) -> Iterator[str]:
    for name in paths:
        path = Path(name)
        files = sorted(it for it in path.iterdir() if it.suffix in _SUFFIXES) if path.is_dir() else [path]
        if not path.exists() or not files:
            raise JobMisconfigured(f"there are no events at {name}", remedy="name a file, or a folder of such files")
        for file in files:
            with file.open(encoding="utf-8", errors="replace") as content:
                yield from (line for line in content if line.strip())


def _script() -> str:
    if not PAGE.exists():
        raise JobMisconfigured(
            "the page is not built: a checkout has its source only",
            remedy="run `make ui` there, or use an installed package; without `--html` the graph is printed",
        )
    return PAGE.read_text(encoding="utf-8")


def _refuse_old_sqlalchemy() -> None:
    if int(version("sqlalchemy").partition(".")[0]) < 2:
        raise JobMisconfigured(
            "the graph is made with SQLAlchemy 2, and this environment has an older one",
            remedy="run this command in another environment, with this package and `sqlalchemy>=2`",
        )
