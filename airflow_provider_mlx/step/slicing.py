"""
Cut one function out of a DAG file, with everything of the module that it reaches: text in, text out.

A slice is an ordinary module: ``from __future__ import annotations``, then imports (those under ``TYPE_CHECKING``
become real), constants, helpers and classes in the order of the file, and the function without its Airflow decorators.
Statements keep their exact text: nothing is dedented (text in triple quotes would change), what is indented stands
under ``if True:``. What cannot travel is refused with file, line and way out.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .module import (
    Definition,
    Module,
    Unit,
    find_definition,
    is_indented,
    own_nodes,
    parse_module,
)
from .named_outputs import SLICE, named_outputs
from .names import BUILTINS, FUTURE, Function, Meaning, root_name, type_name
from .reach import Found, Reach, wanted_by


@dataclass(frozen=True)
class SourceSlice:
    """
    A module made of one function and what it reaches.

    :param text: the module's source.
    :param function: the name to call in it.
    :param lines: runs of lines: first line in the slice, first line in the DAG file, how many.
    :param origin: the DAG file as users know it.
    :param imports: the packages it imports at run time, without the standard library's.
    :param modules: dotted names that it imports and that may be modules (``from a import b``: ``a`` and ``a.b``).
    :param annotation_modules: the same for imports that only annotations use; the slice runs without them.
    :param relative_imports: modules whose relative import was made absolute.
    :param return_type: dotted name of what the function's annotation says, ``<slice>.Name`` for a class of the slice
        itself, None where nothing can be said.
    :param outputs: the fields of such a class, if it names outputs: name → dotted name of its type.
    :param parameters: the same for each parameter, in order; ``*args`` and ``**kwargs`` left out.
    :param warnings: what works differently in the job.
    """

    text: str
    function: str
    lines: tuple[tuple[int, int, int], ...]
    origin: str
    imports: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    annotation_modules: frozenset[str] = frozenset()
    relative_imports: tuple[str, ...] = ()
    return_type: str | None = None
    outputs: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    parameters: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    warnings: tuple[str, ...] = ()


def slice_function(
    source: str,
    *,
    filename: str,
    qualname: str,
    first_line: int,
    origin: str | None = None,
    package: str | None = None,
) -> SourceSlice:
    """
    The function and everything of its module that it reaches, as a module of its own.

    :param source: the text of the DAG file.
    :param filename: its path, for messages.
    :param qualname: the function's qualified name, ``churn.<locals>.train``.
    :param first_line: ``co_firstlineno``: the line of its first decorator.
    :param origin: the file's name as users know it, for messages and tracebacks; by default the path's last part.
    :param package: the package of the module, if it has one; relative imports are made absolute with it.
    :raises InvalidStep: something that the function needs cannot travel; all such problems at once.
    """
    return _slice(source, filename, qualname, first_line, origin or Path(filename).name, package)


@lru_cache(maxsize=256)
def _slice(source: str, filename: str, qualname: str, first_line: int, origin: str, package: str | None) -> SourceSlice:
    name = qualname.rpartition(".")[2]
    where = f"{origin}:{first_line}"
    if name == "<lambda>":
        raise InvalidStep("a lambda cannot be cut out of its line.", where=where, remedy="write a `def`")
    try:
        module = parse_module(source, filename, package)
    except (SyntaxError, ValueError) as error:
        what = f"`{origin}` is not valid Python: {error}."
        raise InvalidStep(what, where=where, remedy="correct the file") from error
    definition = find_definition(module, name, first_line)
    if definition is None:
        raise InvalidStep(
            f"there is no function `{name}` at line {first_line}.",
            where=where,
            remedy="load the file again if it changed; write a `def` if exec made the function",
        )
    return _Cut(module, definition, origin).result()


class _Cut:
    """One function being cut out of one module."""

    def __init__(self, module: Module, definition: Definition, origin: str) -> None:
        self.module, self.definition, self.node = module, definition, definition.node
        self.reach = Reach(module, definition, origin)
        self.origin, self.name = origin, definition.node.name
        self.warnings: dict[str, None] = {}

    def result(self) -> SourceSlice:
        kept = self._kept_decorators()
        step = _step_unit(self.module, self.node, kept)
        problems = list(self._unfit())
        needed = Found()
        try:
            needed = self.reach.follow(wanted_by(step), step)
        except SyntaxError as error:  # `nonlocal` of a function that stays behind
            what = f"{self.reach.at(self.node.lineno)}: {error.msg}"
            problems.append(Problem(what, "return the value instead of assigning it outside"))
        problems += needed.problems.values()
        if problems:
            count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
            where = self.reach.at(self.node.lineno)
            raise InvalidStep(f"step `{self.name}` cannot be sent to a job: {count}.", problems, where=where)
        self.warnings |= needed.warnings
        return self._assemble(step, kept, needed.units, self.reach.in_annotations(step, needed))

    def _unfit(self) -> Iterator[Problem]:
        node = self.definition.node
        if any(isinstance(ancestor, ast.ClassDef) for ancestor in self.definition.ancestors):
            what = f"{self.reach.at(node.lineno)}: `{self.name}` is a method, or stands inside a class"
            yield Problem(what, "move it out of the class, and pass what it needs")
        for inner in (n for s in node.body for n in own_nodes(s) if isinstance(n, ast.Yield | ast.YieldFrom)):
            what = f"{self.reach.at(inner.lineno)}: `{self.name}` is a generator, which cannot be returned from a job"
            yield Problem(what, "return a list")
            return

    def _kept_decorators(self) -> list[ast.expr]:
        """The user's own decorators below the last one of Airflow; what stands above gets Airflow's task object."""
        decorators = self.definition.node.decorator_list
        last = max((i for i, decorator in enumerate(decorators) if self._is_airflow(decorator)), default=-1)
        for decorator in decorators[: max(last, 0)]:
            if not self._is_airflow(decorator):
                place = self.reach.at(decorator.lineno)
                what = f"{place}: the decorator `{ast.unparse(decorator)}` stands above Airflow's"
                self.warnings[f"{what} and does not apply inside the job; put it below to have it there"] = None
        return decorators[last + 1 :]

    def _is_airflow(self, decorator: ast.expr) -> bool:
        root = root_name(decorator)
        if root is None or root in self.reach.airflow:
            return root is not None
        units = self.reach.by_name.get(root, [])
        if not units:
            return root not in self.reach.enclosing and any(star.needs_airflow for star in self.reach.stars)
        if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for unit in units for node in unit.nodes):
            # a factory such as `def gpu_step(function): return task.mlx(gpu=1)(function)`
            return self.reach.follow([(root, units[0])], None).needs_airflow
        return False

    def _assemble(
        self, step: Unit, kept: Sequence[ast.expr], needed: Mapping[Unit, None], optional: Mapping[Unit, None]
    ) -> SourceSlice:
        aliases = [alias for unit in (step, *needed) for alias in unit.aliases]
        aliases += [alias for unit in optional if not unit.alias for alias in unit.aliases]
        aliases = [alias for alias in aliases if not alias.needs_airflow]  # what is left of it is guarded
        for_annotations = [unit.alias for unit in optional if unit.alias]
        packages = {alias.module.partition(".")[0] for alias in aliases} - sys.stdlib_module_names
        modules = frozenset[str]().union(*(alias.modules for alias in aliases))
        text, lines = self._render(step, kept, needed, optional)
        arguments, return_type = self.node.args, type_name(self.node.returns, self._stands_for)
        return SourceSlice(
            text=text,
            function=self.name,
            lines=lines,
            origin=self.origin,
            imports=frozenset(packages - {"airflow_provider_mlx"}),
            modules=modules,
            annotation_modules=frozenset[str]().union(*(alias.modules for alias in for_annotations)) - modules,
            relative_imports=tuple(sorted(modules & self.module.relative)),
            return_type=return_type,
            outputs=named_outputs(return_type, find=self._class_named, meaning=self._stands_for),
            parameters={
                a.arg: type_name(a.annotation, self._stands_for)
                for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            },
            warnings=tuple(self.warnings),
        )

    def _class_named(self, name: str) -> ast.ClassDef | None:
        nodes = (node for unit in self.reach.by_name.get(name, []) for node in unit.nodes)
        return next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name), None)

    def _stands_for(self, name: str) -> Meaning:
        """What a name in the function's signature means; what type checkers see goes first."""
        local = self.reach.enclosing_imports.get(name)
        units = [local] if local else sorted(self.reach.by_name.get(name, []), key=lambda unit: not unit.typing_only)
        for unit in units:
            for alias in unit.bound_aliases:
                if alias.name == name:
                    return alias.dotted
            for node in unit.nodes:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    return f"{SLICE}.{name}"
                if (value := _assigned(node, name)) is not None:
                    return value
        return name if name in BUILTINS and not units else None

    def _render(
        self, step: Unit, kept: Sequence[ast.expr], needed: Mapping[Unit, None], optional: Mapping[Unit, None]
    ) -> tuple[str, tuple[tuple[int, int, int], ...]]:
        local = [unit for unit in self.reach.enclosing_imports.values() if unit in needed or unit in optional]
        module = sorted({**needed, **optional}.keys() - set(local), key=lambda unit: unit.first_line)
        before = [u for u in module if self.definition.functions or u.first_line < step.first_line]
        rows: Rows = [(FUTURE, 0)]
        for unit in (*before, *local):
            rows += _unit_rows(unit, optional=unit in optional)
        rows += _step_rows(self.module, self.node, kept)
        for unit in module[len(before) :]:
            rows += _unit_rows(unit, optional=unit in optional)
        return "".join(f"{text}\n" for text, _ in rows), tuple(_runs(line for _, line in rows))


Rows = list[tuple[str, int]]
"""Lines of the slice, each with its line in the DAG file; 0 for lines of our own."""


def _unit_rows(unit: Unit, *, optional: bool) -> Rows:
    if unit.alias and optional and not unit.alias.is_standard:  # the image may lack what only annotations name
        return [("try:", 0), (f"    {unit.text}", unit.first_line), ("except ImportError:", 0), ("    pass", 0)]
    opening: Rows = [("if True:", 0)] if is_indented(unit.text) else []
    return opening + [(text, unit.first_line + i) for i, text in enumerate(unit.text.split("\n"))]


def _step_rows(module: Module, node: Function, kept: Sequence[ast.expr]) -> Rows:
    spans = [(part.lineno, part.end_lineno or part.lineno) for part in (*kept, node)]
    rows: Rows = [(module.lines[n - 1], n) for first, last in spans for n in range(first, last + 1)]
    return [("if True:", 0), *rows] if is_indented(rows[0][0]) else rows


def _step_unit(module: Module, node: Function, kept: Sequence[ast.expr]) -> Unit:
    bare = copy.copy(node)
    bare.decorator_list = list(kept)
    rows = [row for row in _step_rows(module, node, kept) if row[1]]
    return Unit("\n".join(text for text, _ in rows), node.lineno, (bare,))


def _runs(lines: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """Numbered lines as runs ``(first here, first there, how many)``."""
    start = there = count = 0
    for here, line in enumerate([*lines, 0], start=1):
        if count and line == there + count:
            count += 1
            continue
        if count:
            yield (start, there, count)
        start, there, count = here, line, 1 if line else 0


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """The expression that a statement makes ``name`` an alias of: ``Frame = pd.DataFrame``, ``type Frame = …``."""
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    elif type(node).__name__ == "TypeAlias":  # Python 3.12
        targets = [node.name]  # type: ignore[attr-defined]
    else:
        return None
    named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
    return node.value if named else None  # type: ignore[attr-defined]
