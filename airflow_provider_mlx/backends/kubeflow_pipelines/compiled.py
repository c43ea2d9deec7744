"""
A compiled pipeline, read: what goes in, which tasks it has, and what they give.

It is YAML of one or two documents, ``PipelineSpec`` and ``PlatformSpec`` of ``api/v2alpha1/pipeline_spec.proto``, from
any compiler of schema 2.1.0. Read leniently, since newer compilers add fields; refused is what is no such pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .ir import SCHEMA_VERSION

KINDS: Final[Mapping[str, str]] = {
    "NUMBER_DOUBLE": "a number, as 0.5",
    "NUMBER_INTEGER": "a whole number, as 5",
    "STRING": "text",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}
"""``ParameterType.ParameterTypeEnum``, but for the types that the system itself fills in."""
_DEPRECATED: Final[Mapping[str, str]] = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE", "STRING": "STRING"}
"""``PrimitiveType``, in the field ``type``."""
_TOP: Final = frozenset(
    {"schemaVersion", "sdkVersion", "pipelineInfo", "components", "deploymentSpec", "root", "defaultPipelineRoot"}
)


@dataclass(frozen=True)
class Parameter:
    """
    One input of a pipeline.

    :param type: a key of ``KINDS``, or a word that is not known here.
    :param optional: it may be left out.
    :param literals: its values, where the pipeline lists them.
    """

    name: str
    type: str
    optional: bool = False
    default: Any = None
    literals: tuple[Any, ...] = ()


@dataclass(frozen=True)
class TaskOutputs:
    """
    What a task of a pipeline gives.

    :param name: with the tasks around it, as ``condition-1/register``.
    :param parameters: key → type.
    :param artifacts: key → type, as ``system.Model``.
    :param repeated: it runs once per item of a loop.
    """

    name: str
    parameters: Mapping[str, str]
    artifacts: Mapping[str, str]
    repeated: bool = False


@dataclass(frozen=True)
class CompiledPipeline:
    """
    A pipeline, and its Kubernetes side if it has one.

    :param artifacts: the names of artifacts that it wants as inputs and that may not be left out.
    """

    spec: Mapping[str, Any]
    platform: Mapping[str, Any] | None
    name: str
    parameters: Mapping[str, Parameter]
    artifacts: tuple[str, ...]
    tasks: Mapping[str, TaskOutputs]

    @property
    def pipeline_spec(self) -> dict[str, Any]:
        """``pipeline_spec`` of a run that brings its pipeline along."""
        if self.platform is None:
            return dict(self.spec)
        return {"pipeline_spec": dict(self.spec), "platform_spec": dict(self.platform)}

    def to_yaml(self) -> str:
        """The text of an upload."""
        import yaml

        documents = [self.spec] if self.platform is None else [self.spec, self.platform]
        return str(yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True))


def parse_pipeline(source: str | Mapping[str, Any]) -> CompiledPipeline:
    """
    Read a compiled pipeline.

    :param source: the YAML text of a file; or what it holds, alone or as ``{"pipeline_spec": …, "platform_spec": …}``.
    :raises InvalidStep: it is no pipeline of this schema.
    """
    spec, platform = _documents(source)
    if problems := list(_problems(spec)):
        raise InvalidStep("this is no compiled pipeline that Kubeflow Pipelines runs", problems)
    root = spec["root"]
    inputs = root.get("inputDefinitions") or {}
    tasks = {one.name: one for one in _tasks(spec, root, (), frozenset(), repeated=False)}
    return CompiledPipeline(
        spec=spec, platform=platform, name=str(spec["pipelineInfo"]["name"]),
        parameters={name: _parameter(name, given) for name, given in (inputs.get("parameters") or {}).items()},
        artifacts=tuple(sorted(
            name for name, given in (inputs.get("artifacts") or {}).items() if not (given or {}).get("isOptional")
        )),
        tasks=tasks,
    )  # fmt: skip


def _documents(source: str | Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    if isinstance(source, Mapping):
        inner = source.get("pipeline_spec")
        documents = [inner, source.get("platform_spec")] if isinstance(inner, Mapping) else [source]
    else:
        documents = _loaded(source)
    documents = [one for one in documents if one]
    mappings = [one for one in documents if isinstance(one, Mapping)]
    specs = [one for one in mappings if "platforms" not in one]
    platforms = [one for one in mappings if "platforms" in one]
    if len(mappings) != len(documents) or len(specs) != 1 or len(platforms) > 1:
        what = f"it has {len(specs)} pipelines and {len(platforms)} platform specs, in {len(documents)} documents"
        raise InvalidStep(
            "this is no compiled pipeline", [Problem(what, "give one pipeline, and one platform at most")]
        )
    try:
        json.dumps(documents, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidStep(
            "this is no compiled pipeline", [Problem(f"it is no JSON: {error}", "quote its dates")]
        ) from None
    return specs[0], platforms[0] if platforms else None


def _loaded(text: str) -> list[Any]:
    import yaml

    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:300]
        raise InvalidStep(
            "this is no compiled pipeline", [Problem(f"it is no YAML: {said}", "compile it anew")]
        ) from None


def _problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    if spec.get("kind") == "Workflow":
        yield Problem("it is a Workflow of Argo, as version 1 of the SDK made it", "compile it with kfp 2")
        return
    version = str(spec.get("schemaVersion") or "")
    if version != SCHEMA_VERSION:
        what = f"its schema is {version or 'not said'}, and servers run {SCHEMA_VERSION} alone"
        yield Problem(what, "compile it with kfp 2", "schemaVersion")
    if not (spec.get("pipelineInfo") or {}).get("name"):
        yield Problem("it has no name", "compile it with kfp 2", "pipelineInfo.name")
    if not isinstance(spec.get("root"), Mapping):
        yield Problem("it has no root", "compile it with kfp 2", "root")
    for key in sorted(set(spec) - _TOP):
        # kfp writes defaults into the file's comments as they are: one with a line feed makes a key of its own
        what = "no pipeline has this key: was it a line of a parameter's default, written into the comments?"
        yield Problem(what, "take line feeds out of the defaults of the pipeline's parameters", str(key))


def _parameter(name: str, given: Any) -> Parameter:
    given = given or {}
    kind = given.get("parameterType") or _DEPRECATED.get(str(given.get("type") or ""), str(given.get("type") or ""))
    return Parameter(
        name=name, type=str(kind), optional=bool(given.get("isOptional")) or "defaultValue" in given,
        default=given.get("defaultValue"), literals=tuple(given.get("literals") or ()),
    )  # fmt: skip


def _tasks(
    spec: Mapping[str, Any],
    component: Mapping[str, Any],
    around: tuple[str, ...],
    seen: frozenset[str],
    *,
    repeated: bool,
) -> Iterator[TaskOutputs]:
    """The tasks of a component and of those that it is made of; a component cannot hold itself."""
    for name, task in ((component.get("dag") or {}).get("tasks") or {}).items():
        called = str(((task or {}).get("componentRef") or {}).get("name") or "")
        inner = (spec.get("components") or {}).get(called) or {}
        outputs = inner.get("outputDefinitions") or {}
        loops = repeated or "parameterIterator" in task or "artifactIterator" in task
        yield TaskOutputs(
            name="/".join((*around, name)),
            parameters={key: _parameter(key, one).type for key, one in (outputs.get("parameters") or {}).items()},
            artifacts={key: _schema(one) for key, one in (outputs.get("artifacts") or {}).items()},
            repeated=loops,
        )
        if called not in seen:
            yield from _tasks(spec, inner, (*around, name), seen | {called}, repeated=loops)


def _schema(given: Any) -> str:
    kind = (given or {}).get("artifactType") or {}
    return str(kind.get("schemaTitle") or kind.get("instanceSchema") or "")
