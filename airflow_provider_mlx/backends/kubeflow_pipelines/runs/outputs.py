"""
How values come out of a pipeline whose server tells none.

Servers up to 2.17 keep what tasks return where no API shows it. But what a task is *given* stands in the Workflow: its
driver writes the executor's input into the patch of its pod. So a last task is added to the pipeline that is given
everything that somebody wants and does nothing, and what it was given is read; in a condition, such a task for what
stands in it, since only there it is known whether there is anything. Sources: ``initPodSpecPatch`` of
``backend/src/v2/driver/driver.go`` (``--executor_input``), ``argocompiler/container.go`` (``pod-spec-patch``), and runs
of a real 2.14.3, of which ``tests/kubeflow_pipelines/recorded/workflow-kinds.json`` is one.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import OutputReference
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact
from airflow_provider_mlx.backends.kubeflow_pipelines.workflow import raw_nodes_of
from airflow_provider_mlx.exceptions import InvalidStep, Problem

TASK: Final = "airflow-outputs"
DOES_NOTHING: Final = ("/kfp-launcher/launch", "--help")
"""
What every pod of a task has, whatever its image: the launcher itself, a static program of Go, which says how it is used
and ends well. Source: ``KFPLauncherPath`` of ``component/constants.go``, ``launcher-v2/main.go``, package ``flag``.
"""
_ROOT: Final = ""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
RESERVED: Final = frozenset({"run_id", "pipeline", "tasks", "return_value"})
"""Names in the result of a run that are ours."""
_EXECUTOR_INPUT: Final = "--executor_input"
_COMPONENT_SPEC: Final = "--component_spec"
_OF_THE_SERVER: Final = frozenset({"display_name", "store_session_info"})
"""Metadata of an artifact that nobody but the server gave it."""


@dataclass(frozen=True)
class Given:
    """What one task was given, and where it writes its artifacts; from its driver."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    writes: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether it was given something of this name."""
        return name in self.parameters or name in self.artifacts


def with_collector(pipeline: CompiledPipeline, wanted: Mapping[str, OutputReference]) -> CompiledPipeline:
    """
    The pipeline with a last task that is given what is wanted, and such a task in each condition that has some of it.

    :param wanted: by the names that they get.
    :raises InvalidStep: a value cannot be brought out; all problems at once.
    """
    problems = list(name_problems(wanted))
    spec = copy.deepcopy(dict(pipeline.spec))
    collector = _Collector(spec)
    for name, output in wanted.items():
        if problem := collector.take(name, output):
            problems.append(problem)
    if any(TASK in _tasks_of(one) for one in (spec["root"], *(spec.get("components") or {}).values())):
        problems.append(Problem(f"it has a task `{TASK}` itself", "give that one another name", "outputs"))
    if problems:
        raise InvalidStep(f"the outputs of the pipeline `{pipeline.name}` cannot be read", problems)
    collector.add()
    return parse_pipeline({"pipeline_spec": spec, "platform_spec": pipeline.platform})


def given_to_tasks(workflow: Mapping[str, Any]) -> dict[str, Given]:
    """What each executed task was given, by its name; a task that was cached or never began is not here."""
    found = {}
    for node, raw in raw_nodes_of(workflow):
        if node.part != "driver":
            continue
        for one in (raw.get("outputs") or {}).get("parameters") or ():
            if one.get("name") == "pod-spec-patch" and (given := _given(one.get("value"))) is not None:
                found[node.task] = given
    return found


def is_collector(task: str) -> bool:
    """Whether a task is ours, by its name with those around it."""
    return task.rpartition("/")[2] == TASK


def collected(given: Mapping[str, Given], name: str, reference: str) -> Given | None:
    """
    What has one of the wanted outputs; ``None`` where it stands in a condition that was false.

    :param reference: ``task.key``, as the operator was told.
    """
    having = {task: one for task, one in given.items() if is_collector(task) and one.has(name)}
    # a group that the pipeline uses twice has the same task in both
    inside = [one for task, one in having.items() if reference.startswith(task.removesuffix(TASK))]
    return next(iter([*inside, *having.values()]), None)


@dataclass
class _Taken:
    """What the task in one group is given."""

    definitions: dict[str, dict[str, Any]] = field(default_factory=lambda: {"parameters": {}, "artifacts": {}})
    inputs: dict[str, dict[str, Any]] = field(default_factory=lambda: {"parameters": {}, "artifacts": {}})
    after: set[str] = field(default_factory=set)

    def take(self, name: str, kind: str, definition: Mapping[str, Any], producer: str, key: str) -> None:
        """Have it given one output of a task beside it."""
        word = kind.removesuffix("s").capitalize()
        self.definitions[kind][name] = _as_input(definition)
        self.inputs[kind][name] = {f"taskOutput{word}": {"producerTask": producer, f"output{word}Key": key}}
        self.after.add(producer)

    def component(self, executor: str) -> dict[str, Any]:
        """Of the task."""
        return {
            "executorLabel": executor,
            "inputDefinitions": {kind: one for kind, one in self.definitions.items() if one},
        }

    def task(self, component: str) -> dict[str, Any]:
        """The task itself."""
        return {
            "taskInfo": {"name": TASK}, "componentRef": {"name": component}, "cachingOptions": {},
            "dependentTasks": sorted(self.after), "inputs": {kind: one for kind, one in self.inputs.items() if one},
        }  # fmt: skip


class _Collector:
    """
    The tasks that are given everything.

    :param spec: of the pipeline; it is changed.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._taken: dict[str, _Taken] = {}
        self._image = ""

    def take(self, name: str, output: OutputReference) -> Problem | None:
        """Bring one output to the innermost condition around it, or to the root; a problem if that cannot be."""
        path = output.task.split("/")
        conditions = [depth for depth in range(1, len(path) + 1) if self._has_condition(path[:depth])]
        around = max(conditions, default=0)
        if around == len(path):
            if output.kind == "artifact":  # where it runs, its own driver says where it writes
                return None
            what = f"`{output.task}` has a condition itself: where it does not run, nothing comes out of it"
            return Problem(what, "put the condition around it by `dsl.If`, or leave it out", f"outputs[{name!r}]")
        kind, key = f"{output.kind}s", output.key
        definition = self._component(path)["outputDefinitions"][kind][key]
        self._image = self._image or self._image_of(path)
        for depth in range(len(path) - 1, around, -1):  # from the innermost group outwards
            key = self._surface(path[:depth], path[depth], kind, key, definition)
        group = self._task(path[:around])["componentRef"]["name"] if around else _ROOT
        self._taken.setdefault(group, _Taken()).take(name, kind, definition, path[around], key)
        return None

    def add(self) -> None:
        """Add the tasks, their components and their executors, unless they would be given nothing."""
        components = self._spec.setdefault("components", {})
        for number, (group, taken) in enumerate(self._taken.items(), 1):
            name = TASK if number == 1 else f"{TASK}-{number}"
            components[f"comp-{name}"] = taken.component(f"exec-{name}")
            around = self._spec["root"] if group == _ROOT else components[group]
            around["dag"]["tasks"][TASK] = taken.task(f"comp-{name}")
            # components whose containers are the same to the letter are one to the server: `hashComponentContainer`
            container = {"image": self._image, "command": list(DOES_NOTHING), "args": [name]}
            self._spec["deploymentSpec"]["executors"][f"exec-{name}"] = {"container": container}

    def _has_condition(self, path: list[str]) -> bool:
        return bool((self._task(path).get("triggerPolicy") or {}).get("condition"))

    def _surface(self, group: list[str], inner: str, kind: str, key: str, definition: Mapping[str, Any]) -> str:
        """Make an output of a task an output of the group around it, too; its key there."""
        component = self._component(group)
        outer = f"airflow-{inner}-{key}"
        component.setdefault("outputDefinitions", {}).setdefault(kind, {})[outer] = dict(definition)
        outputs = component["dag"].setdefault("outputs", {}).setdefault(kind, {})
        if kind == "parameters":
            outputs[outer] = {"valueFromParameter": {"producerSubtask": inner, "outputParameterKey": key}}
        else:
            outputs[outer] = {"artifactSelectors": [{"producerSubtask": inner, "outputArtifactKey": key}]}
        return outer

    def _task(self, path: list[str]) -> dict[str, Any]:
        around = self._spec["root"] if len(path) == 1 else self._component(path[:-1])
        task: dict[str, Any] = around["dag"]["tasks"][path[-1]]
        return task

    def _component(self, path: list[str]) -> dict[str, Any]:
        component: dict[str, Any] = self._spec["components"][self._task(path)["componentRef"]["name"]]
        return component

    def _image_of(self, path: list[str]) -> str:
        """Of the task that is read: its nodes have pulled it already."""
        label = self._component(path).get("executorLabel", "")
        executor = self._spec["deploymentSpec"]["executors"].get(label) or {}
        return str((executor.get("container") or {}).get("image") or "") or self._any_image()

    def _any_image(self) -> str:
        for executor in self._spec["deploymentSpec"]["executors"].values():
            if image := (executor.get("container") or {}).get("image"):
                return str(image)
        return ""


def _tasks_of(component: Mapping[str, Any]) -> Mapping[str, Any]:
    tasks: Mapping[str, Any] = (component.get("dag") or {}).get("tasks") or {}
    return tasks


def _as_input(definition: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("parameterType", "artifactType", "isArtifactList")
    return {name: definition[name] for name in kept if name in definition}


def name_problems(wanted: Iterable[str]) -> Iterator[Problem]:
    """What no output of a run can be called."""
    for name in wanted:
        if not _NAME.fullmatch(name):
            yield Problem(f"{name!r} is no name of an output", "use letters, digits and _", f"outputs[{name!r}]")
        elif name in RESERVED:
            yield Problem("the result of a run has this name itself", "choose another one", f"outputs[{name!r}]")


def _given(patch: Any) -> Given | None:
    """From a pod's patch, whose command says what the task is given, and what its component is."""
    try:
        containers = json.loads(patch)["containers"]
        words = next(one for one in containers if one.get("name", "main") == "main")
        command = [*(words.get("command") or ()), *(words.get("args") or ())]
        told = json.loads(command[command.index(_EXECUTOR_INPUT) + 1])
        component = json.loads(command[command.index(_COMPONENT_SPEC) + 1]) if _COMPONENT_SPEC in command else {}
    except (TypeError, ValueError, KeyError, IndexError, StopIteration):
        return None
    inputs, outputs = told.get("inputs") or {}, told.get("outputs") or {}
    known = component.get("inputDefinitions") or {}
    return Given(
        _parameters(inputs.get("parameterValues") or {}, known.get("parameters") or {}),
        _artifacts(inputs.get("artifacts") or {}, known.get("artifacts") or {}),
        _artifacts(outputs.get("artifacts") or {}, {}),
    )


def _parameters(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers get their type back: servers keep all of them as doubles, and write whole ones without their point."""
    kinds = {key: (one or {}).get("parameterType") for key, one in definitions.items()}
    return {key: _number(value, kinds.get(key)) for key, value in given.items()}


def _number(value: Any, kind: str | None) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return float(value) if kind == "NUMBER_DOUBLE" else int(value) if kind == "NUMBER_INTEGER" else value


def _artifacts(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, tuple[Artifact, ...]]:
    """What a task is given has lost its type on the way (``instanceSchema: ""``); its component has it."""
    kinds = {key: ((one or {}).get("artifactType") or {}).get("schemaTitle") for key, one in definitions.items()}
    return {
        key: tuple(
            Artifact(
                str(item.get("name") or ""), str(item.get("uri") or ""),
                str((item.get("type") or {}).get("schemaTitle") or kinds.get(key) or ""),
                {name: value for name, value in (item.get("metadata") or {}).items() if name not in _OF_THE_SERVER},
            )
            for item in (one or {}).get("artifacts") or ()
        )
        for key, one in given.items()
    }  # fmt: skip
