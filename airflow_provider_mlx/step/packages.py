"""
The user's own files that travel with a step: what ``include=`` names, and the local modules that the slice imports.

Files are found, never imported: a module's own imports are read from its syntax tree. A search folder may lie inside a
zip file (``…/dags.zip/sub``). What Airflow's ``.airflowignore`` lists is not left out: it says which files are no DAGs,
and helper packages are just that.
"""

from __future__ import annotations

import ast
import functools
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .module import absolute_imports, normalize_source
from .names import Alias, walk_imports
from .source import split_archive

_LEFT_OUT: Final = frozenset({"__pycache__"})
_LEFT_OUT_SUFFIXES: Final = frozenset({".pyc", ".pyo"})

Node = Path | zipfile.Path
"""A file or folder, on disk or inside a zip file: both know ``/``, ``is_file``, ``iterdir``, ``read_bytes``."""


def collect_packages(include: Sequence[str], *, search: Sequence[Path]) -> dict[str, bytes]:
    """
    The files that ``include=`` names, by their paths below the folder in which they were found.

    :param include: packages and modules (``my_package``, ``lib.other``), files (``lib/other.py``) and folders
        (``configs/``).
    :param search: the DAG file's folder, then the bundle's root; the first that has the item wins.
    :raises InvalidStep: items that are missing, are links, or lie outside; all at once.
    """
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    for item in include:
        path = PurePosixPath(item)
        if path.is_absolute() or ".." in path.parts or "\\" in item or not item.strip("./ "):
            what = f"`{item}` is not a name or path below the DAG file's folder"
            problems.append(Problem(what, "name a package, a file or a folder in the bundle", "include"))
            continue
        for root in map(open_folder, search):
            if place := _find_item(root, path):
                try:
                    files = _read_all(place[1], place[0]) | _packages_above(root, place[0]) | files
                except InvalidStep as error:
                    problems += error.problems
                break
        else:
            places = ", ".join(f"`{folder}`" for folder in search)
            problems.append(Problem(f"`{item}` is neither in {places}", "correct the name", "include"))
    if problems:
        raise InvalidStep("`include` names files that cannot be sent.", problems)
    return files


def collect_folder(folder: Path) -> dict[str, bytes]:
    """
    Every file below a folder, by its path there; caches, compiled files and names that start with a dot stay behind.

    :raises InvalidStep: there is no such folder, or a link in it.
    """
    root = open_folder(folder)
    if not root.is_dir():
        raise InvalidStep(f"the folder `{folder}` does not exist.", remedy="correct the path")
    return _read_all(root, "")


def find_local_modules(
    modules: Iterable[str], search: Sequence[Path], *, optional: Iterable[str] = ()
) -> dict[str, bytes]:
    """
    The modules that lie beside the DAG file, with what they import from there in turn; others are the image's.

    Only the modules that are reached are carried, each with its packages' ``__init__.py``; data files and what is
    imported by a computed name need ``include=``.

    :param modules: dotted names; those that are no local modules are passed over.
    :param search: the DAG file's folder, then the bundle's root.
    :param optional: modules that only annotations need: left behind where they cannot be carried.
    :raises InvalidStep: a module that is reached imports Airflow when it is loaded; all of them at once.
    """
    roots = [open_folder(folder) for folder in search]
    files, problems = _follow_modules(modules, roots)
    if problems:
        raise InvalidStep("modules beside the DAG file cannot be sent to a job.", problems)
    for module in sorted(optional):
        more, against = _follow_modules([module], roots)
        files |= {} if against else more
    return files


def _follow_modules(modules: Iterable[str], roots: Sequence[Node]) -> tuple[dict[str, bytes], list[Problem]]:
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    queue, seen = sorted(modules), set[str]()
    while queue:
        module = queue.pop()
        if module in seen or module.partition(".")[0] in sys.stdlib_module_names:
            continue
        seen.add(module)
        for name, file, package in _module_files(module, roots):
            if name in files:
                continue
            try:
                files |= _read_all(file, name)
                aliases = _imports(file, files[name], package)
            except InvalidStep as error:
                problems += error.problems
                continue
            problems += _airflow_problems(name, aliases)
            queue += [dotted for alias in aliases if not alias.needs_airflow for dotted in alias.modules]
    return files, problems


def _module_files(module: str, roots: Sequence[Node]) -> Iterator[tuple[str, Node, str]]:
    """The module's file and the ``__init__.py`` of each package above it, each with the package that it is in."""
    parts = module.split(".")
    for root in roots:
        chain: list[tuple[str, Node, str]] = []
        folder = root
        for depth, part in enumerate(parts, start=1):
            package, above = "/".join(parts[:depth]), ".".join(parts[: depth - 1])
            if (folder / part / "__init__.py").is_file():
                chain.append((f"{package}/__init__.py", folder / part / "__init__.py", ".".join(parts[:depth])))
            elif (folder / f"{part}.py").is_file():
                chain.append((f"{package}.py", folder / f"{part}.py", above))
                break
            folder = folder / part
        if chain:
            yield from chain
            return


def _imports(file: Node, data: bytes, package: str) -> list[Alias]:
    """What a module's file can import, with relative imports made absolute."""
    try:
        text = normalize_source(decode_source(data))
        tree = ast.parse(text)
        absolute, relative = absolute_imports(text, tree, package)
        return list(walk_imports(ast.parse(absolute).body if relative else tree.body))
    except (SyntaxError, ValueError) as error:
        problem = Problem(f"`{file.name}` is not valid Python: {error}", "correct the file")
        raise InvalidStep("a module cannot be read.", [problem]) from error


def _airflow_problems(name: str, aliases: Iterable[Alias]) -> Iterator[Problem]:
    for alias in aliases:
        if alias.needs_airflow and not alias.guarded and not alias.in_function:
            what = f"`{name}` imports `{alias.dotted}` in line {alias.line}, and a job has no Airflow"
            yield Problem(what, "move what the step needs into a module without Airflow, or import inside the function")


def open_folder(folder: Path) -> Node:
    """A search folder, on disk or inside a zip file."""
    if not folder.is_dir():
        if folder.is_file() and zipfile.is_zipfile(folder):
            return zipfile.Path(folder)
        if archive := split_archive(folder):
            return zipfile.Path(archive[0], f"{archive[1]}/")
    return folder


def _find_item(root: Node, path: PurePosixPath) -> tuple[str, Node] | None:
    dotted = path.as_posix().replace(".", "/")
    for candidate in (path.as_posix(), dotted, f"{dotted}.py"):
        node = root
        for part in candidate.split("/"):
            node = node / part
        if node.is_file() or node.is_dir():
            return candidate, node
    return None


def _packages_above(root: Node, name: str) -> dict[str, bytes]:
    """The ``__init__.py`` of each package around a file or folder: without them it is not imported by the same name."""
    files: dict[str, bytes] = {}
    for parent in PurePosixPath(name).parents[:-1]:
        init = functools.reduce(lambda node, part: node / part, (*parent.parts, "__init__.py"), root)
        if init.is_file():
            files |= _read_all(init, f"{parent}/__init__.py")
    return files


def _read_all(node: Node, name: str) -> dict[str, bytes]:
    """The file, or every file below the folder, by its name in the bundle; links are refused, wherever they lead."""
    files: dict[str, bytes] = {}
    links: list[Problem] = []
    queue = [(node, name)]
    while queue:
        current, path = queue.pop()
        if isinstance(current, Path) and current.is_symlink():
            links.append(Problem(f"`{path}` is a link", "put the file itself there", "include"))
        elif current.is_file():
            files[path] = current.read_bytes()
        elif current.is_dir():
            for entry in current.iterdir():
                if not _is_left_out(entry.name):
                    queue.append((entry, f"{path}/{entry.name}".lstrip("/")))
    if links:
        raise InvalidStep("links cannot be sent to a job.", links)
    return files


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in _LEFT_OUT or PurePosixPath(name).suffix in _LEFT_OUT_SUFFIXES
