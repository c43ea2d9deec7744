"""Where a command looks: the stacks that a DAG or the deployment sees, and the artifact roots that they name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import InvalidStep, MlxError, Problem
from airflow_provider_mlx.operators.surroundings import read_stacks, stack_choice
from airflow_provider_mlx.settings import Settings, read_settings
from airflow_provider_mlx.stacks import Artifacts, Stacks
from airflow_provider_mlx.step.identity import NO_DEPLOYMENT
from airflow_provider_mlx.version_compat import bundle_root, find_dag


@dataclass(frozen=True)
class Scene:
    """
    What this Airflow says: its settings, and the stacks that a DAG file sees.

    :param dag: the DAG, where one was asked for and could be loaded.
    :param root: the folder of the DAG's bundle, or the DAGs folder.
    :param import_errors: what could not be imported while the DAG was looked for.
    """

    settings: Settings
    stacks: Stacks
    dag: Any = None
    root: str | None = None
    import_errors: tuple[str, ...] = ()

    @property
    def deployment(self) -> str:
        """The deployment's name in identities."""
        return self.settings.deployment_id or NO_DEPLOYMENT


@dataclass(frozen=True)
class Place:
    """
    One artifact root.

    :param stack: the stack that names it; empty where the command line did.
    :param why: who said so, in a sentence.
    """

    artifacts: Artifacts
    stack: str
    why: str

    def open(self) -> ObjectStore:
        """
        Its store.

        :raises MlxError: the connection cannot be used.
        """
        return open_store(self.artifacts.root, self.artifacts.conn_id)


def scene_of(dag: str | None) -> Scene:
    """
    What a DAG sees.

    :param dag: a DAG's id, or the path of a DAG file, which is not loaded; ``None`` for the DAGs folder itself.
    :raises InvalidStep: a stack file is wrong.
    """
    settings = read_settings()
    found, errors = (None, []) if dag is None or is_path(dag) else find_dag(dag)
    folder = bundle_root(None)
    if found is not None:
        root = root_of(found) or folder
        return Scene(
            settings, read_stacks(settings, dag_file=found.fileloc, root=root), found, root, import_errors=tuple(errors)
        )
    file = str(Path(dag).absolute()) if dag is not None and is_path(dag) else None
    if file is None and folder is not None:
        file = str(Path(folder) / "any.py")  # stands for any DAG file directly in the folder
    stacks = read_stacks(settings, dag_file=file, root=folder)
    return Scene(settings, stacks, None, folder, import_errors=tuple(errors))


def is_path(dag: str) -> bool:
    """Whether a command's argument is a DAG file, not a DAG's id."""
    return dag.endswith(".py") or "/" in dag


def root_of(dag: Any) -> str | None:
    """The bundle's root: the DAG file's absolute path without its path in the bundle."""
    relative = getattr(dag, "relative_fileloc", None)
    location = str(dag.fileloc)
    if relative and location.endswith(str(relative)):
        return location[: -len(str(relative))].rstrip("/") or None
    return None


def places(scene: Scene, arguments: argparse.Namespace, *, task_id: str | None = None) -> Iterator[Place]:
    """
    The artifact roots that a command may mean, the likeliest first, each root once.

    ``--root`` and ``--stack`` leave one; else the stack that the step would use now, then the others.

    :raises InvalidStep: there is no such stack.
    """
    if arguments.root:
        yield Place(Artifacts(arguments.root.rstrip("/"), arguments.conn_id), "", "`--root` says so")
        return
    if arguments.conn_id:
        raise InvalidStep("`--conn-id` goes with `--root`", remedy="name the root too, or a stack with `--stack`")
    if arguments.stack:
        yield Place(scene.stacks.stack(arguments.stack).artifacts, arguments.stack, "`--stack` says so")
        return
    params = {key: getattr(value, "value", value) for key, value in dict(getattr(scene.dag, "params", {})).items()}
    own = getattr(_task(scene.dag, task_id), "stack", None)
    name, why = stack_choice(
        scene.stacks, scene.settings, step=own if isinstance(own, str) and "{" not in own else None,
        declared=dict(getattr(scene.dag, "params", {})), params=params,
    )  # fmt: skip
    chosen = scene.stacks.stack(name)
    seen = {chosen.artifacts.root}
    yield Place(chosen.artifacts, name, why)
    for other in scene.stacks.stacks.values():
        if not other.incomplete and other.artifacts.root not in seen:
            seen.add(other.artifacts.root)
            yield Place(other.artifacts, other.name, f"stack `{other.name}` has this root")


def _task(dag: Any, task_id: str | None) -> Any:
    return next((task for task in getattr(dag, "tasks", ()) if task.task_id == task_id), None)


def with_work_dir(settings: Any, scene: Scene) -> Any:
    """A target's own settings, with the folder for local jobs that a plan would fill in."""
    if "work_dir" in type(settings).model_fields and not getattr(settings, "work_dir", ""):
        return settings.model_copy(update={"work_dir": str(scene.settings.local_root / "local")})
    return settings


def read_connection(conn_id: str) -> Any:
    """Airflow's connection of an id, for backends that are asked something."""
    from airflow.providers.common.compat.sdk import BaseHook

    return BaseHook.get_connection(conn_id)


def problems_of(error: MlxError) -> list[Problem]:
    """What is wrong, one by one."""
    found = list(getattr(error, "problems", ()))
    return found or [Problem(error.what, error.remedy)]
