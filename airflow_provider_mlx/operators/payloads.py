"""From what the DAG author wrote to what travels: the payload and the files of the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.protocol import Payload
from airflow_provider_mlx.step.bundle import SLICE_MODULE
from airflow_provider_mlx.step.packages import collect_folder, collect_packages, find_local_modules
from airflow_provider_mlx.step.requirement_files import read_requirements
from airflow_provider_mlx.step.return_types import return_types
from airflow_provider_mlx.step.slicing import SourceSlice
from airflow_provider_mlx.step.source import slice_callable


@dataclass(frozen=True)
class ShippedPayload:
    """What to run, the slice of a DAG file, and further files by their path on the job's ``sys.path``."""

    payload: Payload | None = None
    source: SourceSlice | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    return_types: tuple[str, ...] = ()
    origin: str = ""
    warnings: tuple[str, ...] = ()


def function_payload(
    function: Callable[..., Any], *, dag_file: str, root: str | None, include: Sequence[str]
) -> ShippedPayload:
    """
    A function of the DAG file: its slice, and the local modules that it imports.

    :raises InvalidStep: it cannot be cut out of its file, or a module cannot travel.
    """
    cut = slice_callable(function, bundle_root=root)
    search = _search(dag_file, root)
    files = find_local_modules(cut.modules, search, optional=cut.annotation_modules)
    files |= collect_packages(include, search=search)
    line = cut.lines[-1][1] if cut.lines else 0
    return ShippedPayload(
        payload=Payload(
            kind="function", module=SLICE_MODULE, function=cut.function, origin=cut.origin,
            lines=[list(run) for run in cut.lines],
        ),
        source=cut, files=files, return_types=return_types(function, cut), warnings=cut.warnings,
        origin=f"{cut.origin}:{function.__code__.co_firstlineno if hasattr(function, '__code__') else line}",
    )  # fmt: skip


def entrypoint_payload(entrypoint: str, *, dag_file: str, root: str | None, include: Sequence[str]) -> ShippedPayload:
    """
    ``package.module:function``: travels if it lies beside the DAG file, else the image has it.

    :raises InvalidStep: it is not of that form.
    """
    module, separator, function = entrypoint.partition(":")
    parts = [*module.split("."), function]
    if not separator or not all(part.isidentifier() for part in parts):
        raise InvalidStep(f"`{entrypoint}` is no entry point", [Problem("it must be package.module:function", "")])
    search = _search(dag_file, root)
    files = find_local_modules(frozenset({module}), search) | collect_packages(include, search=search)
    return ShippedPayload(Payload(kind="function", module=module, function=function), files=files, origin=entrypoint)


def script_payload(
    script: str, *, source: str | None, argv: Sequence[str], dag_file: str, root: str | None, include: Sequence[str]
) -> ShippedPayload:
    """
    A script, alone or with its source folder.

    :raises InvalidStep: the script or the folder is not there.
    """
    base = Path(dag_file).parent
    folder = base / source if source else base
    file = folder / script
    if not file.is_file():
        raise InvalidStep(
            f"there is no script `{script}`",
            [Problem(f"{file} is not a file", "paths are relative to `source=`, and that to the DAG file's folder")],
        )
    files = collect_folder(folder) if source else {Path(script).name: file.read_bytes()}
    path = Path(script).as_posix() if source else Path(script).name
    files |= collect_packages(include, search=_search(dag_file, root))
    return ShippedPayload(Payload(kind="script", path=path, argv=list(argv)), files=files, origin=script)


def command_payload(command: Sequence[str]) -> ShippedPayload:
    """A container's own command: nothing of ours travels."""
    return ShippedPayload(command=tuple(command), origin=" ".join(command))


def requirement_lines(requirements: Sequence[str] | str, *, dag_file: str, root: str | None) -> tuple[str, ...]:
    """
    A step's requirements, its files read.

    :raises InvalidStep: a file is missing, or holds what cannot be installed in a job; with file and line.
    """
    return read_requirements(requirements, search=_search(dag_file, root))


def _search(dag_file: str, root: str | None) -> tuple[Path, ...]:
    """Where local packages are looked for: the DAG file's folder, then the bundle's root."""
    folders = [Path(dag_file).parent, *([Path(root)] if root else [])]
    return tuple(dict.fromkeys(folders))
