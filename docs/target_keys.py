"""The keys of a target on a cluster or a cloud, from the models of its settings and their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from docstrings import cell, fields_of, table

from airflow_provider_mlx.backends.kubeflow_pipelines import cannot
from airflow_provider_mlx.backends.kubeflow_pipelines import settings as kubeflow
from airflow_provider_mlx.backends.kubernetes import settings as models
from airflow_provider_mlx.backends.sagemaker import settings as sagemaker
from airflow_provider_mlx.stacks import format_duration


def kubernetes_target() -> str:
    """The keys of a target on Kubernetes, from the models of its settings and their docstrings."""
    sections = [
        ("", models.KubernetesSettings, ""),
        ("## Further keys of `backend: trainer`", models.TrainerSettings, ""),
        (
            "## Each of `gpus`",
            models.GpuModel,
            '`gpus: {MODEL: {…}}`; a step asks for it by `Resources(gpu="MODEL:2")`.',
        ),
        ("## `spot`", models.SpotNodes, "Needed by steps with `Resources(spot=True)`."),
        ("## `topology`", models.Topology, ""),
        ("## Each of `volumes`", models.Volume, ""),
        ("## Each of `env_from`", models.EnvironmentSource, ""),
    ]
    parts = [
        "\n# Keys of a target on Kubernetes\n\nOf `backend: kubernetes` and `backend: trainer` in a stack file, beside "
        "[those of every target](../guides/stacks.md#a-target). [Steps on Kubernetes](../guides/kubernetes.md) shows "
        "them at work.\n"
    ]
    return _page(parts, sections)


def kubeflow_target() -> str:
    """The keys of a target on Kubeflow Pipelines, likewise."""
    head = (
        "\n# Keys of a target on Kubeflow Pipelines\n\nOf `backend: kubeflow_pipelines` in a stack file, beside "
        "[those of every target](../guides/stacks.md#a-target). [The guide](../guides/kubeflow-pipelines.md) shows "
        "them at work. Runs of whole pipelines use those of the first table.\n"
    )
    sections = [
        ("", kubeflow.ServerSettings, ""),
        ("## Of steps", kubeflow.KubeflowPipelinesSettings, ""),
        (
            "## Each of `gpus`",
            kubeflow.GpuNodes,
            '`gpus: {MODEL: {…}}`; a step asks for it by `Resources(gpu="MODEL:2")`.',
        ),
        ("## `spot`", models.SpotNodes, "Needed by steps with `Resources(spot=True)`."),
        ("## `scratch`", kubeflow.Scratch, "Needed by steps with `Resources(disk=…)`."),
        ("## Each of `volumes`", kubeflow.Volume, ""),
    ]
    tail = "\n## What it cannot have\n\nKeys that a target on Kubernetes has, each with the way out:\n\n"
    return _page([head], sections) + tail + kubeflow_cannot()


def kubeflow_cannot() -> str:
    """What Kubeflow Pipelines cannot do for a step, and the way out, from the tables by which it is refused."""
    steps = {f"`Resources({name}=…)`": said for name, said in cannot.CANNOT.items() if name != "fractional_gpu"}
    steps["`Resources(gpu=0.5)`"] = cannot.CANNOT["fractional_gpu"]
    keys = {f"`{key}`": said for key, said in cannot.KEYS.items()}
    keys |= {f"`affinity.{key}`": said for key, said in cannot.AFFINITY.items()}
    keys["`gpus.….device_class`"] = cannot.DEVICE_CLASS
    keys |= {f"`volumes[].{key}`": said for key, said in cannot.VOLUME.items()}
    rows = [(what, *(cell(part) for part in said.split(" → ", 1))) for what, said in {**steps, **keys}.items()]
    return table(("asked for", "why not", "the way out"), rows)


def sagemaker_target() -> str:
    """The keys of a target on SageMaker, likewise."""
    head = (
        "\n# Keys of a target on SageMaker\n\nOf `backend: sagemaker` in a stack file, beside "
        "[those of every target](../guides/stacks.md#a-target). [Steps on SageMaker](../guides/sagemaker.md) shows "
        "them at work.\n"
    )
    sections = [
        ("", sagemaker.SageMakerSettings, ""),
        ("## `vpc`", sagemaker.Network, ""),
        ("## `keys`", sagemaker.Keys, ""),
    ]
    return _page([head], sections)


def _page(parts: list[str], sections: list[tuple[str, Any, str]]) -> str:
    for heading, model, words in sections:
        parts = [*parts, heading, words, table(("key", "values", "default", "meaning"), _keys(model))]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


def _keys(model: Any) -> list[tuple[str, ...]]:
    """
    A row per key that the model itself adds.

    Fails where a key has no meaning in the docstring, or the docstring has one that is no key.
    """
    documented = fields_of(inspect.getdoc(model) or "")
    own = {name: field for name, field in model.model_fields.items() if name in model.__annotations__}
    if set(documented) != set(own):
        raise SystemExit(f"{model.__name__}: docstring and keys differ in {sorted(set(documented) ^ set(own))}")
    schema = model.model_json_schema()
    return [
        (
            f"`{name}`",
            values_of(schema["properties"][name], schema.get("$defs", {})),
            default_of(field),
            documented[name],
        )
        for name, field in own.items()
    ]


_FORMS = {"boolean": "`true`, `false`", "integer": "a whole number", "string": "text", "object": "a mapping"}


def values_of(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """What may stand for a key, from its JSON schema."""
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = schema["allOf"][0]
    if options := schema.get("anyOf"):
        return " or ".join(values_of(one, parts) for one in options if one.get("type") != "null")
    if words := schema.get("enum"):
        return ", ".join(f"`{word}`" for word in words)
    if "$ref" in schema:
        return "keys below"
    if schema.get("format") == "duration":
        return "a duration"
    if schema.get("type") == "array":
        inner = schema.get("items", {})
        return (
            "a list of keys below"
            if "$ref" in inner
            else f"a list of {'mappings' if inner.get('type') == 'object' else 'names'}"
        )
    inner = schema.get("additionalProperties")
    if isinstance(inner, Mapping) and "$ref" in inner:
        return "name → keys below"
    if isinstance(inner, Mapping):
        return "name → a number" if inner.get("type") == "number" else "name → text"
    return _FORMS.get(schema.get("type", ""), "any")


def default_of(field: Any) -> str:
    """A key's default as a stack file would write it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    return f"`{value}`" if isinstance(value, int) or (isinstance(value, str) and value) else "none"
