"""
What a piece of a Python module needs and what it gives: pure, standard library only, text and syntax trees in.

Scoping is not ours to reimplement: ``symtable``, the compiler's own first pass, says which names a piece looks up in
the module. With ``from __future__ import annotations`` in front it leaves annotations out, so what is needed at run
time and what only stands in an annotation are two sets from the start.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from airflow_provider_mlx.runtime import bundle_init

FUTURE: Final = "from __future__ import annotations"

AIRFLOW: Final = frozenset({"airflow", "airflow_provider_mlx"})

# What the bundle's own `airflow_provider_mlx` has: it holds the runtime and nothing of Airflow (docs/protocol.md).
CARRIED_NAMES: Final = frozenset({*bundle_init.__all__, "runtime"})
RUNTIME_PACKAGE: Final = "airflow_provider_mlx.runtime"

BUILTINS: Final = frozenset(dir(builtins)) | {"__name__", "__builtins__", "__annotations__", "__class__"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
"""Statements, and the parts of a statement that hold statements."""
_SCOPES = (*DEFINITIONS, ast.Lambda)

# Methods of the built-in containers that change them; a call that stands alone as a statement counts whatever its name.
_TYPING: Final = frozenset({"typing", "typing_extensions"})

_MUTATORS: Final = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "intersection_update", "pop", "popitem"}
    | {"remove", "reverse", "setdefault", "sort", "symmetric_difference_update", "update"}
)


@dataclass(frozen=True)
class Alias:
    """
    One name that an import binds.

    :param level: not 0 for a relative import that could not be made absolute.
    :param guarded: the code itself handles its absence (``try`` … ``except ImportError``).
    :param in_function: it runs when a function is called, not when the module is loaded.
    """

    name: str
    module: str
    attribute: str | None
    as_name: str | None
    line: int
    level: int = 0
    guarded: bool = False
    in_function: bool = False

    @property
    def dotted(self) -> str:
        """What the bound name stands for: ``import a.b`` binds ``a``, ``from a import b`` binds ``a.b``."""
        if self.attribute is not None:
            return f"{self.module}.{self.attribute}"
        return self.module if self.as_name else self.name

    @property
    def modules(self) -> frozenset[str]:
        """The dotted names that may be modules: in ``from a import b`` only the file system knows what ``b`` is."""
        return frozenset({self.module} if self.attribute in (None, "*") else {self.module, self.dotted})

    @property
    def needs_airflow(self) -> bool:
        """Whether the job cannot have it: all of Airflow, and of our own package what the bundle does not carry."""
        package = self.module.partition(".")[0]
        if package not in AIRFLOW or self.level:
            return False
        if package == "airflow":
            return True
        if self.module == "airflow_provider_mlx":  # the package itself is there; each use of it is looked at
            return self.attribute is not None and self.attribute not in CARRIED_NAMES
        return not f"{self.module}.".startswith(f"{RUNTIME_PACKAGE}.")

    @property
    def is_standard(self) -> bool:
        """Whether it comes from the standard library."""
        return self.module.partition(".")[0] in sys.stdlib_module_names

    def render(self) -> str:
        """The import statement for this name alone."""
        if self.attribute is None:
            return ast.unparse(ast.Import([ast.alias(self.module, self.as_name)]))
        return ast.unparse(ast.ImportFrom(self.module, [ast.alias(self.attribute, self.as_name)], self.level))


def import_aliases(node: ast.AST, *, guarded: bool = False) -> tuple[Alias, ...]:
    """The names that one ``import`` statement binds; empty for any other node and for ``__future__``."""
    if isinstance(node, ast.Import):
        return tuple(
            Alias(a.asname or a.name.partition(".")[0], a.name, None, a.asname, node.lineno, guarded=guarded)
            for a in node.names
        )
    if isinstance(node, ast.ImportFrom) and node.module != "__future__":
        return tuple(
            Alias(a.asname or a.name, node.module or "", a.name, a.asname, node.lineno, node.level, guarded)
            for a in node.names
        )
    return ()


def is_typing_test(test: ast.expr) -> bool:
    """``TYPE_CHECKING``, ``typing.TYPE_CHECKING``: false at run time, true for a type checker."""
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


def is_negated_typing_test(test: ast.expr) -> bool:
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and is_typing_test(test.operand)


def _catches_import_error(node: ast.Try) -> bool:
    caught = {n.id for h in node.handlers if h.type for n in ast.walk(h.type) if isinstance(n, ast.Name)}
    return any(h.type is None for h in node.handlers) or bool(
        caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    )


def walk_imports(nodes: Sequence[ast.AST], *, into_functions: bool = True, guarded: bool = False) -> Iterator[Alias]:
    """
    Every import that can run under ``nodes``; those under ``TYPE_CHECKING`` cannot.

    :param into_functions: also those inside functions.
    """
    for node in nodes:
        yield from import_aliases(node, guarded=guarded)
        if isinstance(node, ast.If) and is_typing_test(node.test):
            yield from walk_imports(node.orelse, into_functions=into_functions, guarded=guarded)
        elif isinstance(node, ast.Try) and _catches_import_error(node):
            yield from walk_imports(node.body, into_functions=into_functions, guarded=True)
            rest = [*node.handlers, *node.orelse, *node.finalbody]
            yield from walk_imports(rest, into_functions=into_functions, guarded=guarded)
        elif isinstance(node, Function):
            inner = walk_imports(node.body, guarded=guarded) if into_functions else ()
            yield from (replace(alias, in_function=True) for alias in inner)
        else:
            children = [child for child in ast.iter_child_nodes(node) if isinstance(child, STATEMENTS)]
            yield from walk_imports(children, into_functions=into_functions, guarded=guarded)


def walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it that runs with it; functions and classes are met, their insides are not."""
    yield node
    if not isinstance(node, _SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from walk_scope(child)


def root_name(node: ast.expr) -> str | None:
    """The variable an expression starts from: ``task.mlx(cpu=2)`` → ``task``, ``CONFIG["a"].b`` → ``CONFIG``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def mutated_names(node: ast.stmt) -> frozenset[str]:
    """The variables whose value a statement changes in place, as far as syntax shows: ``CONFIG["a"] = 1``."""
    found: set[str | None] = set()
    for part in walk_scope(node):
        if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
            found.add(root_name(part))
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            if isinstance(part.value.func, ast.Attribute):
                found.add(root_name(part.value.func))
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _MUTATORS:
            found.add(root_name(part.func))
    return frozenset(name for name in found if name)


def annotation_names(node: ast.AST, *, in_function: bool = False) -> Iterator[str]:
    """Names that stand in annotations: of signatures, classes and the module; those of local variables mean nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        for annotation in (*(a.annotation for a in every if a), node.returns):
            yield from _names_in_annotation(annotation)
        in_function = True
    elif isinstance(node, ast.ClassDef):
        in_function = False
    elif isinstance(node, ast.AnnAssign) and not in_function:
        yield from _names_in_annotation(node.annotation)
    for child in ast.iter_child_nodes(node):
        yield from annotation_names(child, in_function=in_function)


def _names_in_annotation(annotation: ast.expr | None) -> Iterator[str]:
    for part in ast.walk(annotation) if annotation else ():
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from _names_in_annotation(parse_annotation(part.value))


def parse_annotation(text: str) -> ast.expr | None:
    """A quoted annotation; None if the string is not an expression (as in ``Literal["a b"]``)."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None


@dataclass(frozen=True)
class Facts:
    """``reads``: module names looked up at run time; ``writes``: assigned by ``global``; ``binds``: defined here."""

    reads: frozenset[str]
    writes: frozenset[str]
    binds: frozenset[str]


@lru_cache(maxsize=4096)
def parse_facts(text: str) -> Facts:
    """
    What a piece of module-level text looks up, writes and binds.

    :raises SyntaxError: among others for ``nonlocal`` names whose function was cut away.
    """
    top = symtable.symtable(f"{FUTURE}\n{text}\n", "<slice>", "exec")
    binds = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()} - {"annotations"}
    reads = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    writes: set[str] = set()
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        for symbol in table.get_symbols():
            if symbol.is_global():
                (reads if symbol.is_referenced() else writes).add(symbol.get_name())
                if symbol.is_assigned():
                    writes.add(symbol.get_name())
            elif table.get_type() == "class" and symbol.is_referenced() and symbol.is_local():
                writes.add(symbol.get_name())  # `x = x` in a class body reads the module's `x`, if there is one
    return Facts(frozenset(reads), frozenset(writes), frozenset(binds))


def line_of(nodes: Sequence[ast.AST], name: str) -> int | None:
    """Where ``name`` is first mentioned."""
    lines = [n.lineno for root in nodes for n in ast.walk(root) if isinstance(n, ast.Name) and n.id == name]
    return min(lines, default=None)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1)), None)


# --- what an annotation names ----------------------------------------------------------------------------------------

_FIRST_ARGUMENT: Final = frozenset({"Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly", "InitVar"})
_BUILTIN_GENERICS: Final = {name: name.lower() for name in ("Dict", "List", "Set", "FrozenSet", "Tuple", "Type")}
_DICTS: Final = frozenset({"dict", "collections.OrderedDict", "typing.OrderedDict"})

Meaning = str | ast.expr | None
"""What a name stands for: a dotted name, the expression it was assigned from, or None."""


def type_name(annotation: ast.expr | None, meaning: Callable[[str], Meaning], depth: int = 10) -> str | None:
    """
    The dotted name of the type that an annotation means, without arguments and without ``None``.

    :param meaning: what a bare name of the module stands for.
    :return: ``pandas.DataFrame`` for ``Optional["pd.DataFrame"]``; None where several types or none can be named. A
        dict of a package's type says so, since some codecs take such dicts: ``dict[torch.Tensor]``.
    """
    if annotation is None or depth == 0:
        return None
    if isinstance(annotation, ast.Constant):
        if isinstance(annotation.value, str):
            return type_name(parse_annotation(annotation.value), meaning, depth - 1)
        return "None" if annotation.value is None else None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _only_type([annotation.left, annotation.right], meaning, depth)
    if isinstance(annotation, ast.Name):
        known = meaning(annotation.id)
        return _builtin_name(known) if isinstance(known, str) else type_name(known, meaning, depth - 1)
    if isinstance(annotation, ast.Attribute):
        owner = type_name(annotation.value, meaning, depth - 1)
        return _builtin_name(f"{owner}.{annotation.attr}") if owner else None
    if not isinstance(annotation, ast.Subscript):
        return None
    generic = type_name(annotation.value, meaning, depth - 1)
    module, _, name = (generic or "").rpartition(".")
    arguments = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if module in _TYPING and name in ("Optional", "Union"):
        return _only_type(arguments, meaning, depth)
    if (module in _TYPING or generic == "dataclasses.InitVar") and name in _FIRST_ARGUMENT and arguments:
        return type_name(arguments[0], meaning, depth - 1)
    if generic in _DICTS and len(arguments) == 2:
        member = type_name(arguments[1], meaning, depth - 1) or ""
        return f"dict[{member}]" if "." in member and not member.startswith(("typing", "<")) else generic
    return generic


def _only_type(members: Sequence[ast.expr], meaning: Callable[[str], Meaning], depth: int) -> str | None:
    names = {type_name(member, meaning, depth - 1) for member in members} - {"None"}
    return names.pop() if len(names) == 1 else None


def _builtin_name(dotted: str) -> str:
    module, _, name = dotted.rpartition(".")
    return _BUILTIN_GENERICS.get(name, dotted) if module in _TYPING else dotted
