"""
The text of a stack file as nodes that know their places.

The rules of ``yaml.safe_load``, and stricter: a stack file is data that a person must be able to review, so
duplicate keys, tags, merge keys, several documents and deep or exploding structures are refused. Dates and
``4:30`` stay text, where YAML 1.1 would make a date and 270 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.places import Place, Source, problem_at

if TYPE_CHECKING:
    import yaml

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 20
MAX_ALIASES: Final = 50
MAX_NODES: Final = 50_000
"""Of a file after its aliases are written out: what stops a "billion laughs"."""

_STANDARD_TAGS: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, eq=False)
class Node:
    """Something in a stack file; ``size`` and ``height`` count what it holds, aliases written out."""

    place: Place
    size: int = field(default=1, kw_only=True)
    height: int = field(default=1, kw_only=True)


@dataclass(frozen=True, eq=False)
class ScalarNode(Node):
    """Text, a number, true or false, or nothing."""

    value: str | int | float | bool | None


@dataclass(frozen=True, eq=False)
class SequenceNode(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Entry:
    """One key of a mapping, with its own place, and its value."""

    place: Place
    node: Node


@dataclass(frozen=True, eq=False)
class MappingNode(Node):
    """A mapping; its keys are text and keep their order."""

    entries: Mapping[str, Entry]


@dataclass(frozen=True)
class Document:
    """One file: its root, or ``None`` where nothing could be read or the file is empty, and what is wrong with it."""

    source: Source
    root: Node | None
    problems: tuple[Problem, ...]


def plain(node: Node) -> Any:
    """The value of a node without places, as ``yaml.safe_load`` would give it."""
    if isinstance(node, MappingNode):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    assert isinstance(node, ScalarNode)
    return node.value


def parse_document(name: str, data: bytes | str) -> Document:
    """
    Read the text of one file. Never raises: what is wrong stands in the document's ``problems``.

    :param name: the file's name as messages show it.
    :param data: its content; bytes are UTF-8.
    """
    try:
        raw = data if isinstance(data, bytes) else data.encode("utf-8")
        if len(raw) > MAX_BYTES:
            return _unreadable(name, f"the file has {len(raw):,} bytes, more than 1 MiB", "split it")
        text = raw.decode("utf-8-sig")
    except UnicodeError:
        return _unreadable(name, "the file is not UTF-8 text", "save it as UTF-8")
    source = Source(name, text)
    builder = _Builder(source)
    return Document(source, builder.build(text), tuple(builder.problems))


def _unreadable(name: str, what: str, remedy: str) -> Document:
    source = Source(name, "")
    return Document(source, None, (problem_at(Place(source, 1, 1, 1, 1), what, remedy),))


class _TooLargeError(Exception):
    """The file holds more nodes than anybody wrote."""


class _Builder:
    """Events of the YAML parser → nodes. Recursion is bounded by :data:`MAX_DEPTH`, work by :data:`MAX_NODES`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.aliases = 0
        self.nodes = 0

    def build(self, text: str) -> Node | None:
        import yaml

        loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.yaml = yaml
        try:
            self.loader = loader_class(text)
            try:
                return self._document()
            finally:
                self.loader.dispose()
        except yaml.YAMLError as error:
            self._syntax_error(error)
        except _TooLargeError:
            self._refuse(self._start(), f"the file holds more than {MAX_NODES:,} values", "split it")
        return None

    def _document(self) -> Node | None:
        yaml = self.yaml
        self.loader.get_event()  # the start of the stream
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()  # the start of the document
        root = self._node(self.loader.get_event(), 1)
        self.loader.get_event()  # its end
        if not self.loader.check_event(yaml.StreamEndEvent):
            place = self._place(self.loader.peek_event())
            self._refuse(place, "a second document begins here", "keep one document in the file: remove `---`")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        yaml = self.yaml
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place, depth)
        self._count(1)
        if event.tag is not None:
            self._refuse(place, f"a tag, `{event.tag[:40]}`", "remove the tag: stack files are data")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = ScalarNode(place, self._scalar(event, place))
        elif depth > MAX_DEPTH:
            self._refuse(place, f"more than {MAX_DEPTH} levels", "write it flatter")
            self._skip()
            node = ScalarNode(place, None)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(place, depth)
        else:
            node = self._mapping(place, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _sequence(self, place: Place, depth: int) -> SequenceNode:
        items = []
        while not self.loader.check_event(self.yaml.SequenceEndEvent):
            items.append(self._node(self.loader.get_event(), depth + 1))
        self.loader.get_event()
        return SequenceNode(place, tuple(items), size=_size(items), height=_height(items))

    def _mapping(self, place: Place, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        while not self.loader.check_event(self.yaml.MappingEndEvent):
            key_event = self.loader.get_event()
            key = self._node(key_event, depth + 1)
            where = self._place(key_event)
            value = self._node(self.loader.get_event(), depth + 1)
            name = self._key(key, where)
            if name in entries:
                first = entries[name].place.line
                self._refuse(where, f"`{name}` stands here twice, first in line {first}", "keep one of the two")
            elif name is not None:
                entries[name] = Entry(where, value)
        self.loader.get_event()
        values = [entry.node for entry in entries.values()]
        return MappingNode(place, entries, size=_size(values), height=_height(values))

    def _key(self, key: Node, place: Place) -> str | None:
        value = key.value if isinstance(key, ScalarNode) else None
        if value == "<<":
            self._refuse(place, "a merge key, `<<`", "use `extends:` of a stack, or write the keys out")
            return None
        if isinstance(value, str):
            return value
        self._refuse(place, "a key that is not text", 'write it in quotes, as "on" or "1"')
        return None

    def _alias(self, event: Any, place: Place, depth: int) -> Node:
        self.aliases += 1
        node = self.anchors.get(event.anchor)
        if event.anchor not in self.anchors:
            self._refuse(place, f"`*{event.anchor}` names no anchor", f"write `&{event.anchor}` before it")
        elif node is None:
            self._refuse(place, f"`*{event.anchor}` stands inside its own anchor", "write the value out")
        elif self.aliases == MAX_ALIASES + 1:
            self._refuse(place, f"more than {MAX_ALIASES} aliases", "use `extends:` of a stack, or write it out")
        elif depth + node.height - 1 > MAX_DEPTH:
            self._refuse(place, f"more than {MAX_DEPTH} levels through `*{event.anchor}`", "write it flatter")
        elif self.aliases <= MAX_ALIASES:
            self._count(node.size)
            return node
        return ScalarNode(place, None)

    def _scalar(self, event: Any, place: Place) -> str | int | float | bool | None:
        tag = self.loader.resolve(self.yaml.ScalarNode, event.value, event.implicit)
        text: str = event.value
        kind = tag.removeprefix(_STANDARD_TAGS)
        if kind == "null":
            return None
        if kind not in ("int", "float", "bool") or ":" in text:
            return text
        node = self.yaml.ScalarNode(tag, text)
        try:
            value: int | float | bool = self.loader.construct_object(node)
        except ValueError:
            self._refuse(place, "a number that cannot be read", "write it in quotes if it is text")
            return None
        return value

    def _skip(self) -> None:
        """Pass over the rest of a list or mapping whose start was read, without recursion."""
        yaml = self.yaml
        level = 1
        while level:
            event = self.loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                level += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                level -= 1

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _TooLargeError

    def _syntax_error(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "a syntax error"
        place = self._start() if mark is None else self._span(mark, mark)
        self._refuse(place, f"not valid YAML: {what}", "check the indentation, the quotes and the brackets here")

    def _place(self, event: Any) -> Place:
        return self._span(event.start_mark, event.end_mark)

    def _span(self, start: Any, end: Any) -> Place:
        return Place(self.source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _start(self) -> Place:
        return Place(self.source, 1, 1, 1, 1)

    def _refuse(self, place: Place, what: str, remedy: str) -> None:
        self.problems.append(problem_at(place, what, remedy))


def _size(nodes: list[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _height(nodes: list[Node]) -> int:
    return 1 + max((node.height for node in nodes), default=0)
