"""
Which stack files a DAG file sees, and what they say.

The files of the deployment come first, then the nearest ``mlx_stacks.yaml`` from the DAG file's folder upwards to
the bundle's root, so that a pinned bundle version pins its stacks. Folders inside a zip count as folders.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks.parsing import MAX_BYTES, Document, MappingNode, parse_document, plain
from airflow_provider_mlx.stacks.stack import BUILT_IN, Stacks

if TYPE_CHECKING:
    from pydantic import BaseModel

FILE_NAME: Final = "mlx_stacks.yaml"

_Version = tuple[int, int]
_parsed: Final[dict[tuple[str, str, str], tuple[_Version, Document]]] = {}
_CACHE_LIMIT: Final = 256


@dataclass(frozen=True)
class Location:
    """
    A file that exists, or one inside a zip.

    :param name: what messages call it.
    :param inner: its path inside the zip that ``path`` is.
    """

    path: Path
    name: str
    inner: str = ""


def load_stacks(
    *,
    deployment_files: Sequence[str | Path],
    dag_file: str | Path | None,
    bundle_root: str | Path | None,
    bundle_stacks: Literal["allow", "deny"],
    backend_settings: Mapping[str, type[BaseModel]],
    local_root: str,
) -> Stacks:
    """
    Every stack that a DAG file sees, the built-in one too.

    :param deployment_files: ``[mlx] stacks_files``; each must exist.
    :param dag_file: where the search begins; ``None`` for the deployment's files only.
    :param bundle_root: where the search ends; ``None`` for the DAG file's own folder only.
    :param bundle_stacks: ``[mlx] bundle_stacks``: whether a DAG bundle may bring a stack file.
    :param backend_settings: the pydantic model of the settings of each installed backend, ``local`` among them.
    :param local_root: the artifact root, a URI, of the built-in stack and of those that name none.
    :raises InvalidStep: anything is wrong in any of the files; all of it at once.

    Files are parsed again only when their time of change or size differs.
    """
    from airflow_provider_mlx.stacks.validation import StackFile, built_in_stack, validate_files

    problems: list[Problem] = []
    files: list[StackFile] = []
    notes: list[str] = []
    for path in deployment_files:
        document = read_document(Location(Path(path), str(path)), problems)
        if document is not None:
            files.append(StackFile(document, of_deployment=True))
    found = find_bundle_file(dag_file, bundle_root)
    if found is not None and bundle_stacks != "allow":
        notes.append(f"{found.name} is not read: `[mlx] bundle_stacks` does not allow it")
    elif found is not None and not _is_one_of(found, deployment_files):
        document = read_document(found, problems)
        if document is not None:
            files.append(StackFile(document, of_deployment=False))
    stacks = validate_files(files, backend_settings, local_root=local_root, problems=problems)
    if BUILT_IN not in stacks.stacks:
        built_in = built_in_stack(backend_settings, local_root)
        stacks = replace(stacks, stacks={**stacks.stacks, BUILT_IN: built_in})
    return replace(stacks, notes=tuple(notes))


def find_bundle_file(dag_file: str | Path | None, bundle_root: str | Path | None) -> Location | None:
    """
    The nearest ``mlx_stacks.yaml``, from the DAG file's folder upwards to the bundle's root.

    A DAG file outside the bundle's root, or without one, is searched beside only.
    """
    if dag_file is None:
        return None
    dag = Path(dag_file).absolute()
    root = Path(bundle_root).absolute() if bundle_root is not None else None
    top = root if root is not None and dag.is_relative_to(root) else dag.parent
    for folder in _folders(dag, top):
        if folder.is_file():  # only a zip can be a file on the way to a DAG file
            inside_zip = _in_zip(folder, dag, top)
            if inside_zip is not None:
                return inside_zip
        elif (folder / FILE_NAME).is_file():
            return Location(folder / FILE_NAME, _shown(folder / FILE_NAME, top))
    return None


def stack_names(location: Location) -> tuple[tuple[str, ...], str | None]:
    """
    The names of a file's stacks and its ``default``, without a look at anything else in it.

    :raises InvalidStep: the file cannot be read or is not YAML.
    """
    problems: list[Problem] = []
    document = read_document(location, problems)
    problems.extend(document.problems if document else ())
    if document is None or problems:
        raise InvalidStep(f"the stacks of {location.name} cannot be listed", problems)
    values: Any = plain(document.root) if isinstance(document.root, MappingNode) else {}
    stacks = values.get("stacks")
    default = values.get("default")
    return tuple(stacks) if isinstance(stacks, dict) else (), default if isinstance(default, str) else None


def read_document(location: Location, problems: list[Problem]) -> Document | None:
    """A file's nodes, from the cache if it did not change; ``None``, and a problem, where it cannot be read."""
    try:
        state = location.path.stat()
        version = (state.st_mtime_ns, state.st_size)
        key = (str(location.path), location.inner, location.name)
        known = _parsed.get(key)
        if known is not None and known[0] == version:
            return known[1]
        document = parse_document(location.name, _content(location))
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        remedy = "correct the path, or let the process that reads it have it"
        problems.append(Problem(what=f"the file cannot be read: {reason}", remedy=remedy, field=location.name))
        return None
    if len(_parsed) >= _CACHE_LIMIT:
        _parsed.clear()
    _parsed[key] = (version, document)
    return document


def _content(location: Location) -> bytes:
    limit = MAX_BYTES + 1  # one byte more than is allowed: enough to refuse it
    if not location.inner:
        with location.path.open("rb") as file:
            return file.read(limit)
    with zipfile.ZipFile(location.path) as archive, archive.open(location.inner) as member:
        return member.read(limit)


def _folders(dag: Path, top: Path) -> Iterator[Path]:
    for folder in dag.parents:
        yield folder
        if folder == top:
            return


def _in_zip(archive: Path, dag: Path, top: Path) -> Location | None:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = set(opened.namelist())
    except (OSError, zipfile.BadZipFile):
        return None
    for folder in PurePosixPath(dag.relative_to(archive).as_posix()).parents:
        inner = str(folder / FILE_NAME)
        if inner in names:
            return Location(archive, f"{_shown(archive, top)}/{inner}", inner)
    return None


def _shown(path: Path, top: Path) -> str:
    """A path below the bundle's root, as people call it: with the root's own name in front, and nothing above."""
    return str(PurePosixPath(top.name) / path.relative_to(top).as_posix())


def _is_one_of(found: Location, paths: Sequence[str | Path]) -> bool:
    return not found.inner and any(Path(path).absolute() == found.path for path in paths)
