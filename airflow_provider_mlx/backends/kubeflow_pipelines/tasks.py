"""
The tasks of a run as both generations of servers tell them, as one kind of value: pure.

- The **MLMD era**, up to 2.17: a run has details, one per node of its Workflow, without outputs and without messages.
  The Workflow itself has the messages and says which pod belongs to which task. Values of outputs are told nowhere.
- The **native API** (KEP-12147): a run that is read in full has ``tasks`` with inputs, outputs and messages.

Which one a server is can be seen in its answer. The native one is no release yet: source, the branch ``mlmd-removal``,
``backend/api/v2beta1/run.proto`` and ``artifact.proto``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from .status import details
from .times import moment
from .workflow import Node, nodes_of

CACHED: Final = "CACHED"
_OVER: Final = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
_HELPER: Final = re.compile(r"root|.*-driver|executor(\(\d+\))?|")
"""Details that are no task of the pipeline's; with caching, there are also some without a name."""


@dataclass(frozen=True)
class Artifact:
    """One artifact that a task wrote."""

    name: str
    uri: str = ""
    type: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Values:
    """What a task was given, or what it wrote, by the keys of its component."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """
    One task of a run.

    :param name: with the names of the tasks around it, as ``condition-1/register``, where they are known.
    :param state: a state of the API, ``CACHED`` being ``SUCCEEDED``.
    :param retries: how often it was begun again.
    :param cached: it was not run, since the same was run before.
    :param message: why it failed.
    :param inputs: ``None`` where the server does not tell them.
    :param outputs: the same.
    """

    name: str
    state: str
    started: datetime | None = None
    ended: datetime | None = None
    retries: int = 0
    cached: bool = False
    message: str = ""
    pods: tuple[str, ...] = ()
    inputs: Values | None = None
    outputs: Values | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in _OVER

    @property
    def took(self) -> timedelta | None:
        """From its start to its end, to the second."""
        return self.ended - self.started if self.started and self.ended else None


def is_native(run: Mapping[str, Any]) -> bool:
    """Whether the server that gave this run has the native task API."""
    return "tasks" in run or "task_count" in run


def tasks_of_run(run: Mapping[str, Any]) -> tuple[Task, ...]:
    """
    From the details of the MLMD era alone: without retries and caching, unless there is one task only.

    The details say nothing of how they hang together.
    """
    known = set(task_names(run.get("pipeline_spec")))
    told = [one for one in details(run) if _is_task(str(one.get("display_name") or ""), known)]
    executors = [one for one in details(run) if str(one.get("display_name") or "").startswith("executor")]
    alone = len(told) == 1
    tried = [one for one in executors if one.get("state") != "SKIPPED"]
    cached = alone and bool(executors) and not tried and told[0].get("state") == "SUCCEEDED"
    numbered = [one for one in tried if one.get("display_name") != "executor"]
    return _sorted(
        Task(
            name=str(one["display_name"]), state=str(one.get("state") or "PENDING"),
            started=moment(one.get("start_time")), ended=moment(one.get("end_time")),
            retries=max(0, len(numbered) - 1) if alone else 0, cached=cached,
        )
        for one in told
    )  # fmt: skip


def tasks_of_workflow(workflow: Mapping[str, Any]) -> tuple[Task, ...]:
    """From the Workflow of a run: everything but outputs."""
    nodes = nodes_of(workflow)
    parts: dict[tuple[str, ...], list[Node]] = {}
    for node in nodes:
        if node.path:
            parts.setdefault(node.path, []).append(node)
    return _sorted(_task(path, found) for path, found in parts.items())


def native_tasks(run: Mapping[str, Any]) -> tuple[Task, ...]:
    """From the native API."""
    told = [one for one in run.get("tasks") or () if isinstance(one, Mapping) and not _is_root(one)]
    return _sorted(_native(one) for one in told)


def task_names(pipeline_spec: Any) -> Iterator[str]:
    """The names of all tasks in a run's ``pipeline_spec``: the IR, or the IR beside a platform."""
    if not isinstance(pipeline_spec, Mapping):
        return
    spec = pipeline_spec.get("pipeline_spec") or pipeline_spec
    components = (spec.get("components") or {}).values() if isinstance(spec, Mapping) else ()
    for component in (spec.get("root") or {}, *components):
        yield from ((component.get("dag") or {}).get("tasks") or {}).keys()


def _is_task(name: str, known: set[str]) -> bool:
    return name in known if known else not _HELPER.fullmatch(name)


def _task(path: tuple[str, ...], nodes: Sequence[Node]) -> Task:
    """A task from its own node, its driver's and its pods'."""
    own = next((node for node in nodes if node.part == "task"), nodes[0])
    executors = [node for node in nodes if node.part == "executor"]
    tried = [node for node in executors if node.pod and node.state != "SKIPPED"]
    failed = [node.message for node in nodes if node.works and node.state == "FAILED" and node.message]
    state = own.state if own.part == "task" else "FAILED" if failed else own.state
    return Task(
        name="/".join(path), state=state, started=own.started, ended=own.ended, retries=max(0, len(tried) - 1),
        cached=bool(executors) and not tried and state == "SUCCEEDED",
        message=failed[-1] if failed and state == "FAILED" else "", pods=tuple(node.pod for node in tried),
    )  # fmt: skip


def _is_root(told: Mapping[str, Any]) -> bool:
    return told.get("type", "ROOT") == "ROOT" and not told.get("parent_task_id")


def _native(told: Mapping[str, Any]) -> Task:
    word = str(told.get("state") or "PENDING")
    pods = [pod for pod in told.get("pods") or () if pod.get("type") == "EXECUTOR"]
    message = (told.get("status_metadata") or {}).get("message") or (told.get("error") or {}).get("message") or ""
    scope = [str(one) for one in told.get("scope_path") or () if one != "root"]
    iteration = (told.get("type_attributes") or {}).get("iteration_index")
    name = "/".join(scope) or str(told.get("name") or told.get("display_name") or "")
    return Task(
        name=name if iteration is None else f"{name}[{iteration}]",
        state="SUCCEEDED" if word == CACHED else word,
        started=moment(told.get("start_time")), ended=moment(told.get("end_time")),
        retries=max(0, len(pods) - 1), cached=word == CACHED, message=str(message),
        pods=tuple(str(pod.get("name") or "") for pod in pods),
        inputs=_values(told.get("inputs") or {}), outputs=_values(told.get("outputs") or {}),
    )  # fmt: skip


def _values(told: Mapping[str, Any]) -> Values:
    return Values(
        parameters={one["parameter_key"]: one.get("value") for one in told.get("parameters") or ()},
        artifacts={
            one["artifact_key"]: tuple(_artifact(artifact) for artifact in one.get("artifacts") or ())
            for one in told.get("artifacts") or ()
        },
    )


def _artifact(told: Mapping[str, Any]) -> Artifact:
    return Artifact(
        name=str(told.get("name") or ""), uri=str(told.get("uri") or ""), type=str(told.get("type") or ""),
        metadata=dict(told.get("metadata") or {}),
    )  # fmt: skip


def _sorted(tasks: Iterator[Task]) -> tuple[Task, ...]:
    """In the order in which they began; those that have not begun come last."""
    return tuple(sorted(tasks, key=lambda task: (task.started is None, task.started, task.name)))
