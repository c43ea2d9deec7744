"""
How values come out of a pipeline whose server tells none.

Servers up to 2.17 keep what tasks return where no API shows it. But what a task is *given* stands in the Workflow: its
driver writes the executor's input into the patch of its pod. So a last task is added to the pipeline that is given
everything that somebody wants and does nothing, and what it was given is read. Sources: ``initPodSpecPatch`` of
``backend/src/v2/driver/driver.go`` (``--executor_input``), and ``argocompiler/container.go`` (``pod-spec-patch``).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import OutputReference
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact
from airflow_provider_mlx.backends.kubeflow_pipelines.workflow import raw_nodes_of
from airflow_provider_mlx.exceptions import InvalidStep, Problem

TASK: Final = "airflow-outputs"
_COMPONENT: Final = f"comp-{TASK}"
_EXECUTOR: Final = f"exec-{TASK}"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
RESERVED: Final = frozenset({"run_id", "pipeline", "tasks", "return_value"})
"""Names in the result of a run that are ours."""
_EXECUTOR_INPUT: Final = "--executor_input"


@dataclass(frozen=True)
class Given:
    """What one task was given, and where it writes its artifacts; from its driver."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    writes: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)


def with_collector(pipeline: CompiledPipeline, wanted: Mapping[str, OutputReference]) -> CompiledPipeline:
    """
    The pipeline with a last task that is given what is wanted.

    :param wanted: by the names that they get.
    :raises InvalidStep: a value cannot be brought out; all problems at once.
    """
    problems = list(_name_problems(wanted))
    spec = copy.deepcopy(dict(pipeline.spec))
    collector = _Collector(spec)
    for name, output in wanted.items():
        if problem := collector.take(name, output):
            problems.append(problem)
    if TASK in spec["root"]["dag"]["tasks"]:
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


class _Collector:
    """
    The task that is given everything.

    :param spec: of the pipeline; it is changed.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._definitions: dict[str, dict[str, Any]] = {"parameters": {}, "artifacts": {}}
        self._inputs: dict[str, dict[str, Any]] = {"parameters": {}, "artifacts": {}}
        self._after: set[str] = set()
        self._image = ""

    def take(self, name: str, output: OutputReference) -> Problem | None:
        """Bring one output to the root; a problem if that cannot be."""
        path = output.task.split("/")
        for depth in range(1, len(path) + 1):
            task = self._task(path[:depth])
            if not (task.get("triggerPolicy") or {}).get("condition"):
                continue
            if output.kind == "artifact":  # where it runs, its own driver says where it writes
                return None
            what = f"`{output.task}` stands in a condition: where it does not run, nothing comes out of it"
            remedy = "bring it out by `dsl.OneOf`, and name the task that takes it, or leave it out"
            return Problem(what, remedy, f"outputs[{name!r}]")
        kind, key = f"{output.kind}s", output.key
        definition = self._component(path)["outputDefinitions"][kind][key]
        self._image = self._image or self._image_of(path)
        for depth in range(len(path) - 1, 0, -1):  # from the innermost group outwards
            key = self._surface(path[:depth], path[depth], kind, key, definition)
        word = "Parameter" if output.kind == "parameter" else "Artifact"
        self._definitions[kind][name] = _as_input(definition)
        self._inputs[kind][name] = {f"taskOutput{word}": {"producerTask": path[0], f"output{word}Key": key}}
        self._after.add(path[0])
        return None

    def add(self) -> None:
        """Add the task, its component and its executor, unless it would be given nothing."""
        if not self._after:
            return
        filled = {kind: one for kind, one in self._definitions.items() if one}
        self._spec.setdefault("components", {})[_COMPONENT] = {
            "executorLabel": _EXECUTOR, **({"inputDefinitions": filled} if filled else {})
        }  # fmt: skip
        container = {"image": self._image, "command": ["true"]}
        self._spec["deploymentSpec"]["executors"][_EXECUTOR] = {"container": container}
        self._spec["root"]["dag"]["tasks"][TASK] = {
            "taskInfo": {"name": TASK}, "componentRef": {"name": _COMPONENT}, "cachingOptions": {},
            "dependentTasks": sorted(self._after),
            "inputs": {kind: one for kind, one in self._inputs.items() if one},
        }  # fmt: skip

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


def _as_input(definition: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("parameterType", "artifactType", "isArtifactList")
    return {name: definition[name] for name in kept if name in definition}


def _name_problems(wanted: Mapping[str, OutputReference]) -> Iterator[Problem]:
    for name in wanted:
        if not _NAME.fullmatch(name):
            yield Problem(f"{name!r} is no name of an output", "use letters, digits and _", f"outputs[{name!r}]")
        elif name in RESERVED:
            yield Problem("the result of a run has this name itself", "choose another one", f"outputs[{name!r}]")


def _given(patch: Any) -> Given | None:
    """From a pod's patch."""
    try:
        containers = json.loads(patch)["containers"]
        words = next(one for one in containers if one.get("name", "main") == "main")
        command = [*(words.get("command") or ()), *(words.get("args") or ())]
        told = json.loads(command[command.index(_EXECUTOR_INPUT) + 1])
    except (TypeError, ValueError, KeyError, IndexError, StopIteration):
        return None
    inputs, outputs = told.get("inputs") or {}, told.get("outputs") or {}
    return Given(
        inputs.get("parameterValues") or {}, _artifacts(inputs.get("artifacts")), _artifacts(outputs.get("artifacts"))
    )


def _artifacts(given: Any) -> dict[str, tuple[Artifact, ...]]:
    return {
        key: tuple(
            Artifact(
                str(item.get("name") or ""), str(item.get("uri") or ""),
                str((item.get("type") or {}).get("schemaTitle") or ""), item.get("metadata") or {},
            )
            for item in (one or {}).get("artifacts") or ()
        )
        for key, one in (given or {}).items()
    }  # fmt: skip
