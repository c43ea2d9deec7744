"""
The pieces that a module is made of: text in, values out.

A piece is an import of one name, or the whole lines of a statement; blocks around the step's function, Airflow's
``with`` blocks and ``if TYPE_CHECKING:`` are opened, so that what stands inside them are pieces too.
"""

from __future__ import annotations

import ast
import copy
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

from .names import (
    DEFINITIONS,
    FUTURE,
    STATEMENTS,
    Alias,
    Facts,
    Function,
    annotation_names,
    import_aliases,
    is_negated_typing_test,
    is_typing_test,
    mutated_names,
    parse_facts,
    root_name,
    walk_imports,
    walk_scope,
)


@dataclass(frozen=True, eq=False)
class Unit:
    """
    A piece of a module that is carried whole or not at all: one import of one name, or the text of whole lines.

    ``typing_only``: it stands under ``if TYPE_CHECKING:``.
    """

    text: str
    first_line: int
    nodes: tuple[ast.stmt, ...]
    alias: Alias | None = None
    typing_only: bool = False

    @cached_property
    def facts(self) -> Facts:
        if self.alias:
            return Facts(frozenset(), frozenset(), frozenset({self.alias.name}))
        return parse_facts(self.slice_text)

    @cached_property
    def slice_text(self) -> str:
        """The text as it can stand in a module: what is indented keeps its indentation, below ``if True:``."""
        return f"if True:\n{self.text}" if is_indented(self.text) else self.text

    @cached_property
    def annotations(self) -> frozenset[str]:
        return frozenset(name for node in self.nodes for name in annotation_names(node))

    @property
    def is_definition(self) -> bool:
        """Whether it is a function or a class."""
        return any(isinstance(node, DEFINITIONS) for node in self.nodes)

    @cached_property
    def mutates(self) -> frozenset[str]:
        if self.alias or self.is_definition:
            return frozenset()
        return frozenset(name for node in self.nodes for name in mutated_names(node))

    @cached_property
    def aliases(self) -> tuple[Alias, ...]:
        """Every import that this unit can run, also inside its functions."""
        return (self.alias,) if self.alias else tuple(walk_imports(self.nodes))

    @cached_property
    def bound_aliases(self) -> tuple[Alias, ...]:
        """The imports that bind names of the module."""
        return (self.alias,) if self.alias else tuple(walk_imports(self.nodes, into_functions=False))


@dataclass(frozen=True, eq=False)
class Module:
    """
    A parsed module, shared by the steps of a DAG file.

    :param relative: what its relative imports were made into.
    :param cut: the pieces that were cut so far, by their first statement and whether only type checkers see them.
    """

    tree: ast.Module
    lines: tuple[str, ...]
    relative: frozenset[str]
    cut: dict[tuple[int, bool], tuple[Unit, ...]] = field(default_factory=dict)

    @cached_property
    def airflow(self) -> frozenset[str]:
        """Its names that stand for something of Airflow."""
        return airflow_names(self.tree.body)

    @cached_property
    def stars(self) -> tuple[Alias, ...]:
        """Its ``from x import *``."""
        return tuple(alias for alias in walk_imports(self.tree.body, into_functions=False) if alias.attribute == "*")


@dataclass(frozen=True, eq=False)
class Definition:
    """A function and the nodes around it, the outermost first."""

    node: Function
    ancestors: tuple[ast.AST, ...]

    @property
    def functions(self) -> tuple[Function, ...]:
        """The functions around it, the innermost first."""
        return tuple(n for n in reversed(self.ancestors) if isinstance(n, Function))


@lru_cache(maxsize=32)
def parse_module(source: str, filename: str, package: str | None) -> Module:
    """
    Parse a module and make its relative imports absolute.

    :raises SyntaxError: as Python itself would.
    """
    text = normalize_source(source)
    tree = ast.parse(text, filename)
    absolute, relative = absolute_imports(text, tree, package)
    if relative:
        tree = ast.parse(absolute, filename)
    return Module(tree, tuple(absolute.split("\n")), relative)


def find_definition(module: Module, name: str, first_line: int) -> Definition | None:
    """The function of that name whose first decorator (or ``def``, without decorators) stands in that line."""
    stack: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(module.tree, ())]
    while stack:
        node, ancestors = stack.pop()
        if isinstance(node, Function) and node.name == name and first_line in (first_line_of(node), node.lineno):
            return Definition(node, ancestors)
        path = (*ancestors, node)
        stack.extend((child, path) for child in ast.iter_child_nodes(node) if isinstance(child, STATEMENTS))
    return None


def first_line_of(node: ast.stmt) -> int:
    """The line of the first decorator, or of the statement itself."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def module_units(module: Module, definition: Definition) -> tuple[list[Unit], dict[str, int]]:
    """
    The module's pieces in order, and the names that only the block around the function binds (``with DAG() as dag``).

    Blocks that hold the function, ``with`` blocks of Airflow and ``if TYPE_CHECKING:`` are opened, all others are kept
    whole.
    """
    opened = {id(node) for node in definition.ancestors} | {id(definition.node)}
    units: list[Unit] = []
    unavailable: dict[str, int] = {}

    def visit(statements: Sequence[ast.stmt], typing_only: bool) -> None:
        whole: list[ast.stmt] = []
        for statement in statements:
            branches = _branches(statement, opened, module.airflow)
            if branches is None:
                whole.append(statement)
                continue
            units.extend(cut_units(module, whole, typing_only))
            whole.clear()
            for body, is_typing in branches:
                visit(body, typing_only or is_typing)
            if isinstance(statement, ast.With | ast.AsyncWith | ast.For | ast.AsyncFor):
                bound = [n for n in walk_scope(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
                inside = {id(n) for body, _ in branches for s in body for n in walk_scope(s)}
                unavailable.update({n.id: n.lineno for n in bound if id(n) not in inside})
        units.extend(cut_units(module, whole, typing_only))

    visit([s for s in module.tree.body if s is not definition.node and not _is_main_guard(s)], False)
    return [u for u in units if definition.node not in u.nodes], unavailable


def _is_main_guard(statement: ast.stmt) -> bool:
    """``if __name__ == "__main__":`` runs neither under Airflow nor in a job."""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Constant) and node.value == "__main__" for node in ast.walk(statement.test)
    )


Branches = list[tuple[Sequence[ast.stmt], bool]]


def _branches(statement: ast.stmt, opened: set[int], airflow: frozenset[str]) -> Branches | None:
    """The blocks of a statement that has to be opened, each with whether only type checkers see it."""
    if isinstance(statement, ast.If) and is_typing_test(statement.test):
        return [(statement.body, True), (statement.orelse, False)]
    if isinstance(statement, ast.If) and is_negated_typing_test(statement.test):
        return [(statement.body, False), (statement.orelse, True)]
    if isinstance(statement, ast.With | ast.AsyncWith):
        header = {n.id for item in statement.items for n in ast.walk(item.context_expr) if isinstance(n, ast.Name)}
        return [(statement.body, False)] if id(statement) in opened or header & airflow else None
    if id(statement) not in opened or isinstance(statement, DEFINITIONS):
        return None
    return [(block, False) for block in _blocks(statement) if any(id(inner) in opened for inner in block)]


def _blocks(statement: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    for holder in (statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        for name in ("body", "orelse", "finalbody"):
            yield getattr(holder, name, [])


def cut_units(module: Module, statements: Sequence[ast.stmt], typing_only: bool = False) -> Iterator[Unit]:
    """Statements as units: each import of one name by itself, statements that share a line together."""
    for group in _groups(statements, module.lines):
        key = (id(group[0]), typing_only)
        if key not in module.cut:
            module.cut[key] = tuple(_cut_group(module, group, typing_only))
        yield from module.cut[key]


def _cut_group(module: Module, group: Sequence[ast.stmt], typing_only: bool) -> Iterator[Unit]:
    if all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in group):
        for alias in (alias for statement in group for alias in import_aliases(statement)):
            yield Unit(alias.render(), alias.line, (), alias, typing_only)
        return
    first, last = first_line_of(group[0]), group[-1].end_lineno or group[-1].lineno
    lines = list(module.lines[first - 1 : last])
    start = group[0].col_offset if first == group[0].lineno else 0
    prefix = lines[0].encode()[:start].decode()
    if prefix.strip(" \t\f"):  # the body of a one-line block: `if TYPE_CHECKING: Frame = pd.DataFrame`
        lines[0] = lines[0][len(prefix) :]
    yield Unit("\n".join(lines), first, tuple(group), None, typing_only)


def _groups(statements: Sequence[ast.stmt], lines: Sequence[str]) -> Iterator[list[ast.stmt]]:
    group: list[ast.stmt] = []
    for statement in statements:
        first = first_line_of(statement)
        joined = group and (first <= (group[-1].end_lineno or 0) or lines[first - 2].endswith("\\"))
        if group and not joined:
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it in the same function: neither nested functions and classes nor their decorators."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from own_nodes(child)


def enclosing_names(definition: Definition) -> dict[str, int]:
    """The local names of the functions around the definition, each with the line of the function that has it."""
    found: dict[str, int] = {}
    for function in definition.functions:
        table = _table_of(function)
        found = {s.get_name(): function.lineno for s in table.get_symbols() if s.is_local()} | found
    found.pop(definition.node.name, None)
    return found


def _table_of(function: Function) -> symtable.SymbolTable:
    """The compiler's table of the function's names; the decorators are other functions' business."""
    bare = copy.copy(function)
    bare.decorator_list = []
    text = f"{FUTURE}\n{ast.unparse(ast.Module([bare], []))}"
    tables = symtable.symtable(text, "<enclosing>", "exec").get_children()
    while not any(table.get_name() == function.name and table.get_type() == "function" for table in tables):
        tables = [inner for table in tables for inner in table.get_children()]  # type parameters lie around it
    return next(table for table in tables if table.get_name() == function.name)


def airflow_names(statements: Sequence[ast.stmt]) -> frozenset[str]:
    """The names that stand for something of Airflow: imported, or assigned from such a name (``t2 = task``)."""
    typing = [i for s in statements if isinstance(s, ast.If) and is_typing_test(s.test) for i in s.body]
    aliases = walk_imports([*statements, *typing], into_functions=False)
    found = {alias.name for alias in aliases if alias.needs_airflow or alias.dotted == "airflow_provider_mlx"}
    assigned = [
        (target.id, _sources(node.value))
        for statement in statements
        for node in walk_scope(statement)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    for _ in assigned:
        more = {name for name, sources in assigned if sources & found} - found
        if not more:
            break
        found |= more
    return frozenset(found)


def _sources(value: ast.expr) -> set[str]:
    """What an assigned value is made from: ``task.mlx(cpu=2)``, ``functools.partial(task.mlx, cpu=2)``."""
    parts = [value, *(value.args if isinstance(value, ast.Call) else ())]
    return {name for part in parts if (name := root_name(part))}


def is_indented(text: str) -> bool:
    """Whether the first line is indented; a form feed takes the column back to zero, as in Python's own tokenizer."""
    lead = text[: len(text) - len(text.lstrip(" \t\f"))]
    return bool(lead.rpartition("\f")[2])


def normalize_source(source: str) -> str:
    """Without byte order mark and with ``\\n`` line ends, as Python's tokenizer sees every source."""
    return source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


_RELATIVE_IMPORT: Final = re.compile(r"from[ \t]*\.[. \t]*([^\W\d][\w.]*)?(?=[ \t]+import\b)")


def absolute_imports(source: str, tree: ast.Module, package: str | None) -> tuple[str, frozenset[str]]:
    """
    Make relative imports absolute where they stand; no line is added, removed or re-dented.

    :return: the text, and the modules that were named.

    Those that reach above ``package``, or are broken by a backslash, stay as they are: only a slice that needs one
    is refused.
    """
    lines = source.split("\n")
    found: set[str] = set()
    parts = package.split(".") if package else []
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    for node in sorted(relative, key=lambda node: node.col_offset, reverse=True):  # an edit moves what is right of it
        line = lines[node.lineno - 1]
        start = len(line.encode()[: node.col_offset].decode())
        match = _RELATIVE_IMPORT.match(line, start)
        if match and node.level <= len(parts):
            base = [*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])]
            lines[node.lineno - 1] = f"{line[:start]}from {'.'.join(base)}{line[match.end() :]}"
            found.add(".".join(base))
    return "\n".join(lines), frozenset(found)
