"""``extends:`` of a stack: a deep merge of nodes that keeps the place of every key."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.parsing import Entry, MappingNode, Node, ScalarNode, plain
from airflow_provider_mlx.stacks.places import nearest, problem_at


def merge(parent: Node, child: Node) -> Node:
    """
    What a child says over what its parent says.

    Mappings merge key by key, the child's keys first (so its ``tasks:`` patterns are tried first); anything else,
    lists too, is the child's. A mapping that names another ``backend`` replaces the parent's: the settings of one
    backend mean nothing to another. An empty value stays as a mark, until :func:`without_nothing` removes it.
    """
    if not (isinstance(parent, MappingNode) and isinstance(child, MappingNode)) or _other_backend(parent, child):
        return child
    entries = {
        key: Entry(entry.place, merge(parent.entries[key].node, entry.node)) if key in parent.entries else entry
        for key, entry in child.entries.items()
    }
    inherited = {key: entry for key, entry in parent.entries.items() if key not in entries}
    return MappingNode(child.place, {**entries, **inherited})


def without_nothing(node: Node) -> Node:
    """The node without the keys that have no value: ``queue:`` alone removes what a parent stack says."""
    if not isinstance(node, MappingNode):
        return node
    return MappingNode(
        node.place,
        {
            key: Entry(entry.place, without_nothing(entry.node))
            for key, entry in node.entries.items()
            if not (isinstance(entry.node, ScalarNode) and entry.node.value is None)
        },
    )


def flatten(name: str, stacks: Mapping[str, Entry]) -> tuple[MappingNode | None, list[str], list[Problem]]:
    """
    A stack with all that it inherits.

    :param name: one of ``stacks``.
    :param stacks: every stack that can be extended, by name; their values are mappings.
    :return: the merged stack without ``extends``, or ``None``; its ancestors, the nearest first; what is wrong.
    """
    chain: list[MappingNode] = []
    names: list[str] = []
    current: str | None = name
    while current is not None:
        node = stacks[current].node
        assert isinstance(node, MappingNode)
        names.append(current)
        chain.append(MappingNode(node.place, {k: entry for k, entry in node.entries.items() if k != "extends"}))
        parent = node.entries.get("extends")
        if parent is None or plain(parent.node) is None:
            break
        value = plain(parent.node)
        if not isinstance(value, str):
            what = f"`extends` of stack `{current}` is not a name"
            return None, names[1:], [problem_at(parent.node.place, what, "write the name of one stack")]
        if value in names:
            path = " → ".join([*names[names.index(value) :], value])
            what = f"stack `{value}` extends itself: {path}"
            return None, names[1:], [problem_at(parent.node.place, what, "break the circle")]
        if value not in stacks:
            what = f"stack `{current}` extends `{value}`, which is not a stack"
            others = [other for other in stacks if other != current]
            return None, names[1:], [problem_at(parent.node.place, what, nearest(value, others))]
        current = value
    merged: Node = chain[-1]
    for node in reversed(chain[:-1]):
        merged = merge(merged, node)
    flat = without_nothing(merged)
    assert isinstance(flat, MappingNode)
    return flat, names[1:], []


def _other_backend(parent: MappingNode, child: MappingNode) -> bool:
    if "backend" not in parent.entries or "backend" not in child.entries:
        return False
    return bool(plain(parent.entries["backend"].node) != plain(child.entries["backend"].node))
