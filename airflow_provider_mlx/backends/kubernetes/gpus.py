"""
What a step's ``gpu`` becomes: an extended resource, a share of one GPU by KAI, or a DRA claim.

Sources:

- https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/: a GPU is a limit, whole, and needs no request
- KAI 0.17, ``docs/gpu-sharing``, and the rules of its admission webhook (``gpu_request_validator.go``)
- https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/: ``resource.k8s.io/v1``, 1.34
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.step.quantities import parse_bytes
from airflow_provider_mlx.step.resources import Gpu, Resources

from .settings import GpuModel, KubernetesSettings

KAI_FRACTION: Final = "gpu-fraction"
"""Annotation of a pod: its share of one GPU, above 0 and below 1."""
KAI_MEMORY: Final = "gpu-memory"
"""Annotation of a pod: memory of one GPU in MiB, a whole number from 1."""
KAI_CONTAINER: Final = "gpu-fraction-container-name"
"""Annotation of a pod: the container that gets the share; left out, the first one of the spec."""

CLAIM: Final = "gpu"
"""Name of the claim in the pod, and of the request in its template."""

_MIB: Final = 2**20


@dataclass(frozen=True)
class GpuPlacement:
    """
    What a pod carries for its GPUs.

    :param device_class: a DRA DeviceClass of which ``count`` devices are claimed; empty for none.
    :param model: where the nodes of this model are.
    """

    limits: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    device_class: str = ""
    count: int = 0
    model: GpuModel = field(default_factory=GpuModel)


def gpu_placement(resources: Resources, settings: KubernetesSettings, *, container: str = "") -> GpuPlacement:
    """
    Translate a step's GPUs, in which :func:`gpu_problems` found no fault.

    :param container: the one that uses the GPU.
    """
    gpus = resources.gpus
    named = {KAI_CONTAINER: container} if container else {}
    if gpus is None:
        if settings.gpu_memory and resources.gpu is None:  # gpu=0 wants none
            mib = -(-parse_bytes(settings.gpu_memory) // _MIB)
            return GpuPlacement(annotations={KAI_MEMORY: str(mib), **named})
        return GpuPlacement()
    model = settings.gpus[gpus.model] if gpus.model else GpuModel()
    if _is_share(gpus):
        share = format(Decimal(str(gpus.count)), "f")
        return GpuPlacement(annotations={KAI_FRACTION: share, **named}, model=model)
    count = int(gpus.count)
    if model.device_class:
        return GpuPlacement(device_class=model.device_class, count=count, model=model)
    return GpuPlacement(limits={model.resource or settings.gpu_resource: str(count)}, model=model)


def claim_name(job: str) -> str:
    """Name of the ResourceClaimTemplate of a job."""
    return f"{job}-{CLAIM}"


def claim_template(job: str, namespace: str, gpus: GpuPlacement) -> dict[str, Any]:
    """The ResourceClaimTemplate from which each pod of a job gets its claim."""
    devices = {"allocationMode": "ExactCount", "count": gpus.count, "deviceClassName": gpus.device_class}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": claim_name(job), "namespace": namespace},
        "spec": {"spec": {"devices": {"requests": [{"name": CLAIM, "exactly": devices}]}}},
    }


def gpu_problems(resources: Resources, settings: KubernetesSettings) -> list[Problem]:
    """What of a step's GPUs this target cannot give."""
    gpus, asked = resources.gpus, f"gpu={resources.gpu!r}"
    if gpus is None:
        return _memory_problems(settings) if resources.gpu is None else []
    if gpus.model and gpus.model not in settings.gpus:
        return [_unknown_model(gpus.model, settings, asked)]
    model = settings.gpus[gpus.model] if gpus.model else GpuModel()
    problems = []
    if settings.gpu_memory:
        problems.append(
            Problem(
                "the target gives every pod memory of a shared GPU by `gpu_memory`; KAI takes no `gpu` beside it",
                "leave `gpu` out of the step, or use a target without `gpu_memory`",
                asked,
            )
        )
    if model.resource and model.device_class:
        problems.append(
            Problem(
                f"`gpus.{gpus.model}` of the target has both a resource and a device class",
                "keep `device_class` for DRA, or `resource` for a device plugin",
                asked,
            )
        )
    return problems + (_share_problems(gpus, model, settings, asked) if _is_share(gpus) else [])


def _share_problems(gpus: Gpu, model: GpuModel, settings: KubernetesSettings, asked: str) -> list[Problem]:
    if settings.scheduler != "kai":
        return [
            Problem(
                f"a device plugin gives whole GPUs, and the scheduler `{settings.scheduler}` shares none",
                "use a target with `scheduler: kai`; or name a part of a GPU (MIG) in the target, "
                "`gpus: {MIG-1g.10gb: {resource: nvidia.com/mig-1g.10gb}}`, and ask for it; or ask for a whole GPU",
                asked,
            )
        ]
    if model.resource or model.device_class:
        return [
            Problem(
                f"KAI shares whole GPUs, and `{gpus.model}` is "
                + (f"the resource {model.resource}" if model.resource else f"the DRA class {model.device_class}"),
                f"ask for {gpus.model}:1, or for a model that the target gives by its node selector alone",
                asked,
            )
        ]
    return []


def _memory_problems(settings: KubernetesSettings) -> list[Problem]:
    if not settings.gpu_memory:
        return []
    try:
        parse_bytes(settings.gpu_memory)
    except ValueError as error:
        return [Problem(str(error), "write it like 20Gi", field=f"gpu_memory: {settings.gpu_memory}")]
    return []


def _unknown_model(model: str, settings: KubernetesSettings, asked: str) -> Problem:
    what = f"the target has no GPU model `{model}`"
    if not settings.gpus:
        add = f"`gpus: {{{model}: {{node_selector: {{nvidia.com/gpu.product: …}}}}}}`"
        return Problem(what, f"ask for a number of GPUs of any model, or add {add} to the target", asked)
    known = {name.casefold(): name for name in sorted(settings.gpus)}
    near = difflib.get_close_matches(model.casefold(), list(known), 1)
    meant = f"did you mean `{known[near[0]]}`? " if near else ""
    return Problem(what, f"{meant}its models are {', '.join(sorted(settings.gpus))}; or add this one to `gpus`", asked)


def _is_share(gpus: Gpu) -> bool:
    return gpus.count < 1
