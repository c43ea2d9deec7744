"""
A step as the intermediate representation of a pipeline with one task, written by us.

It is ``PipelineSpec`` of ``api/v2alpha1/pipeline_spec.proto`` as JSON, which the server takes as it takes a compiled
pipeline. A step's own code knows its inputs and outputs, so the task has no parameters and no artifacts: what Kubeflow
Pipelines adds is the pod, its place in the cluster, and its page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx.backends.base import STORE_CLIENT
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.step.identity import TaskInstanceIdentity, slug
from airflow_provider_mlx.step.spec import JobSpec

from .mounts import path_in_pod
from .settings import KubeflowPipelinesSettings

SCHEMA_VERSION: Final = "2.1.0"
"""The only one that a server takes; source: ``backend/src/apiserver/template/v2_template.go``."""
TASK: Final = "step"
"""The task's name, on the run's page and among its task details."""
EXECUTOR: Final = f"exec-{TASK}"
WRITER: Final = "airflow-provider-mlx"
"""``sdkVersion`` is free text; without our own version, since a new one must not make another request."""

PLACEHOLDER: Final = "{{"
"""
Argo replaces ``{{workflow.name}}`` and the like wherever it finds them in a pipeline, and for those that it does not
know the server says 500; the launcher replaces ``{{$…}}``. Neither has an escape.
"""
_LAUNCHER_WORDS: Final = ('{"Concat":', '{"IfPresent":')
"""Beginnings of an argument that the launcher takes for an expression; source: ``launcher_v2.go``."""
_LAST_OF_UTF8MB3: Final = "\uffff"
"""The server's connection to MySQL speaks the three-byte utf8, so that a run with any character behind is a 500."""
_NAME_LIMIT: Final = 50
"""Argo adds six characters, and a label holds 63."""


def pipeline_spec(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """
    The pipeline of a step; plain JSON.

    It is not cached and not retried there: whether a step runs again is decided by who knows the ledger.
    """
    component = f"comp-{TASK}"
    task = {"taskInfo": {"name": TASK}, "componentRef": {"name": component}, "cachingOptions": {}}  # empty means off
    return {
        "schemaVersion": SCHEMA_VERSION,
        "sdkVersion": WRITER,
        "pipelineInfo": {"name": pipeline_name(spec.identity)},
        "components": {component: {"executorLabel": EXECUTOR}},
        "deploymentSpec": {"executors": {EXECUTOR: {"container": _container(spec, settings)}}},
        "root": {"dag": {"tasks": {TASK: task}}},
    }


def pipeline_name(identity: TaskInstanceIdentity) -> str:
    """The same for all runs of a task: its Workflows and pods are called after it, and its artifacts lie together."""
    return f"{slug(identity.dag_id)}-{slug(identity.task_id)}".strip("-")[:_NAME_LIMIT].strip("-") or TASK


def text_problems(value: Any, where: str = "") -> list[Problem]:
    """What no text of a pipeline may hold, since the server would change it or break on it."""
    problems = []
    for path, text in _texts(value, where):
        if PLACEHOLDER in text:
            problems.append(
                Problem(
                    f"it holds `{PLACEHOLDER}`, which Argo replaces or refuses",
                    "write it another way, as a file or an argument of the step", path,
                )
            )  # fmt: skip
        elif text.lstrip().startswith(_LAUNCHER_WORDS):
            problems.append(
                Problem("Kubeflow's launcher takes it for an expression of its own", "begin it another way", path)
            )
        if any(letter > _LAST_OF_UTF8MB3 for letter in text):
            problems.append(
                Problem("the server's database stores no emoji or other rare character", "leave it out", path)
            )
    return problems


def _container(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """``PipelineContainerSpec``."""
    command, arguments = _command(spec, settings)
    env = [{"name": name, "value": value} for name, value in sorted(_environment(spec, settings).items())]
    fields = {
        "image": spec.image,
        "command": command,
        "args": arguments,
        "env": env,
        "resources": _resources(spec, settings),
    }
    return {name: value for name, value in fields.items() if value}


def _command(spec: JobSpec, settings: KubeflowPipelinesSettings) -> tuple[list[str], list[str]]:
    """Argument lists; no shell reads them."""
    if spec.command is not None:
        return [*spec.command[:1]], [*spec.command[1:]]
    assert spec.bundle is not None
    assert spec.context is not None
    python, option, script, *arguments = bootstrap_command(
        python=spec.python or "python3",
        bundle_path=path_in_pod(spec.bundle.uri, settings) or spec.bundle.uri,
        bundle_sha256=spec.bundle.sha256,
        context=path_in_pod(spec.context.uri, settings) or spec.context.uri,
        context_sha256=spec.context.sha256,
    )
    return [python, option, script], arguments


def _environment(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, str]:
    gpus = spec.resources.gpus
    processes = max(1, int(gpus.count)) if gpus and spec.resources.launcher == "torchrun" else 0
    scratch = settings.scratch if spec.resources.disk is not None else None
    return {
        **({"TMPDIR": scratch.path} if scratch else {}),
        **({"MLX_INSTALL_CLIENT": STORE_CLIENT} if spec.install_client else {}),
        **({"MLX_PROCESSES_PER_NODE": str(processes)} if processes else {}),
        **spec.env,
    }


def _resources(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """
    ``ResourceSpec``. CPU is a request without a limit, so that an idle node's cores can be used; memory has both, since
    a pod that uses more is ended. The fields without ``resource`` in front are deprecated, and numbers.
    """
    asked = spec.resources
    found: dict[str, Any] = {}
    if asked.cpu is not None:
        found["resourceCpuRequest"] = str(asked.cpu).strip()
    if asked.memory is not None:
        found["resourceMemoryRequest"] = found["resourceMemoryLimit"] = str(asked.memory).strip()
    if (gpus := asked.gpus) is not None:
        model = settings.gpus.get(gpus.model) if gpus.model else None
        resource = (model.resource if model else "") or settings.gpu_resource
        found["accelerator"] = {"resourceType": resource, "resourceCount": str(int(gpus.count))}
    return found


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, keys too, and the way to it."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield f"{where}.{key}".strip("."), str(key)
            yield from _texts(member, f"{where}.{key}".strip("."))
    elif isinstance(value, Sequence):
        for number, item in enumerate(value):
            yield from _texts(item, f"{where}[{number}]")
