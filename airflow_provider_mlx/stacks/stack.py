"""What a stack file says, as plain values: nothing here imports pydantic or YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks.places import listed, nearest
from airflow_provider_mlx.stacks.tracking import Tracking

if TYPE_CHECKING:
    from pydantic import BaseModel

BUILT_IN: Final = "local"
"""The stack that needs no file."""

DEFAULT_TARGET: Final = "default"


@dataclass(frozen=True)
class Artifacts:
    """
    Where a stack keeps its artifacts.

    :param root: a URI.
    :param conn_id: the Airflow connection that opens it; ``None`` for the environment's own credentials.
    :param allowed: URI prefixes, each ending in ``/``, of the datasets that steps may read outside the root.
    :param browse: the address of a folder's page in the store's console, with ``{bucket}``, ``{key}`` and ``{uri}``.
    """

    root: str
    conn_id: str | None = None
    allowed: tuple[str, ...] = ()
    browse: str | None = None


@dataclass(frozen=True)
class Target:
    """
    One backend and its settings; what a logical target becomes, or one candidate of its fallback list.

    :param settings: the backend's own settings; ``None`` where ``refusal`` says why there are none.
    :param given: the backend's own settings as they were written.
    :param where: ``file:line:column``, or a sentence for the built-in stack.
    :param tracking: of the experiment trackers, the stack's and its own.
    :param refusal: why a step cannot use this target here, as a backend whose extra is not installed.
    """

    name: str
    backend: str
    where: str
    settings: BaseModel | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    conn_id: str | None = None
    image: str | None = None
    max_runtime: timedelta | None = None
    max_queue: timedelta | None = None
    give_up_pending_after: timedelta | None = None
    python: str | None = None
    wheelhouse: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    tracking: Tracking = field(default_factory=dict)
    preemptions: int | None = None
    on_demand_fallback: Literal["never", "last"] = "never"
    refusal: Problem | None = None


@dataclass(frozen=True)
class TaskOverride:
    """
    What a stack says about the tasks whose ``dag_id.task_id`` matches a glob.

    :param fields: the common fields that it sets, as they are named in :class:`Target`.
    :param sections: per backend, the settings of that backend that it sets.
    """

    pattern: str
    where: str
    target: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """
    A named environment.

    :param targets: by logical name, the candidates in the order in which they are tried.
    :param strict: an unknown target is an error; else it falls back to ``default``.
    :param extends: the stacks it inherits from, the nearest first.
    :param incomplete: what it lacks; such a stack serves as a parent of others only.
    """

    name: str
    where: str
    artifacts: Artifacts
    targets: Mapping[str, tuple[Target, ...]]
    tasks: tuple[TaskOverride, ...] = ()
    strict: bool = True
    on_unsupported: Literal["error", "warn"] = "error"
    install_client: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    extends: tuple[str, ...] = ()
    incomplete: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class PolicyRule:
    """
    What the deployment allows on the targets that match; ``None`` is no restriction.

    :param pattern: a glob on ``stack.target``.
    :param max_gpu: whole job, over all its nodes.
    :param overrides: globs on the settings that a step may override in code, as ``kubernetes.queue``.
    """

    pattern: str
    file: str
    where: str
    dags: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    service_accounts: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    overrides: tuple[str, ...] | None = None
    max_gpu: float | None = None
    max_nodes: int | None = None
    max_runtime: timedelta | None = None
    pool: str | None = None


@dataclass(frozen=True)
class Stacks:
    """
    Every stack that a DAG file sees.

    :param stacks: by name; the built-in ``local`` is among them unless a file defines one of that name.
    :param default: the first file's ``default``, if any says so.
    :param files: the files that were read, as messages show them.
    :param notes: what was not read, and why, in sentences.
    :param backends: the names of all installed backends.
    """

    stacks: Mapping[str, Stack]
    default: str | None = None
    policy: tuple[PolicyRule, ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()

    def stack(self, name: str) -> Stack:
        """
        A stack by its name.

        :raises InvalidStep: there is no such stack, or it is there for others to extend only.
        """
        found = self.stacks.get(name)
        if found is None:
            where = f"in {' and '.join(self.files)}" if self.files else "and no stack file was found"
            remedy = f"{nearest(name, self.stacks)} the stacks are: {listed(sorted(self.stacks))}"
            problem = Problem(what=f"there is no stack `{name}` {where}", remedy=remedy)
            raise InvalidStep("the step's stack cannot be used", [problem], remedy=" · ".join(self.notes))
        if found.incomplete:
            raise InvalidStep(f"stack `{name}` is incomplete: it can only be extended", found.incomplete)
        return found
