"""
Where a job's pods run and what they get: the pure translation of ``Resources`` and of the target's keys.

Amounts: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/. CPU is a request without a
limit, so that an idle node's cores can be used; memory and disk have both, since a pod that uses more is ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.resources import Resources

from .gpus import CLAIM, GpuPlacement, claim_name, claim_template, gpu_placement, gpu_problems
from .schedulers import MARKS, Asked, Marks, scheduler_problems
from .settings import KubernetesSettings


@dataclass(frozen=True)
class Placement:
    """
    What scheduling adds to a job's object and to its pods; plain JSON.

    :param pod_spec: fields of the pods' spec.
    :param resources: of the main container: requests, limits, claims.
    :param suspend: the job is made suspended, and its queue lets it go.
    :param objects: further objects, made beside the job and owned by it; without ``ownerReferences``.
    """

    job_labels: Mapping[str, str]
    job_annotations: Mapping[str, str]
    pod_labels: Mapping[str, str]
    pod_annotations: Mapping[str, str]
    pod_spec: Mapping[str, Any]
    resources: Mapping[str, Any]
    suspend: bool
    objects: tuple[Mapping[str, Any], ...]


def placement(
    resources: Resources, settings: KubernetesSettings, *, job: str, container: str = "", kind: str = "Job"
) -> Placement:
    """
    Where the pods of a job go.

    :param job: its name; the names of further objects come from it.
    :param container: name of the main container, for what is given to one container of a pod.
    :param kind: of the job's object. Several nodes of a ``Job`` are made a gang here; the controllers of the other
        kinds see to that themselves.
    :raises InvalidStep: the target cannot give this; see :func:`placement_problems`.
    """
    if problems := placement_problems(resources, settings):
        raise InvalidStep("these resources cannot be had from this target", problems)
    gpus = gpu_placement(resources, settings, container=container)
    gang = resources.node_count if kind == "Job" else 1
    asked = Asked(job=job, settings=settings, priority=resources.priority or "", gang=gang)
    marks = MARKS[settings.scheduler](asked)
    claims = (claim_template(job, settings.namespace, gpus),) if gpus.device_class else ()
    return Placement(
        job_labels=dict(marks.job_labels),
        job_annotations=dict(marks.job_annotations),
        pod_labels=dict(marks.pod_labels),
        pod_annotations={**gpus.annotations, **marks.pod_annotations},
        pod_spec=_pod_spec(resources, settings, gpus, marks, job),
        resources=_container_resources(resources, gpus),
        suspend=marks.suspend,
        objects=(*claims, *marks.objects),
    )


def placement_problems(resources: Resources, settings: KubernetesSettings) -> list[Problem]:
    """What this target cannot give a step; all of it at once."""
    problems = gpu_problems(resources, settings) + scheduler_problems(settings, resources.priority or "")
    if resources.wants_spot and settings.spot is None:
        problems.append(
            Problem(
                "the target does not say where nodes are that may be taken back",
                "add `spot: {node_selector: {…}, tolerations: […]}` to the target, with the labels and taints that "
                "your cloud gives such nodes, or leave spot out",
                field="spot=True",
            )
        )
    return problems + _selector_problems(resources, settings)


def _pod_spec(
    resources: Resources, settings: KubernetesSettings, gpus: GpuPlacement, marks: Marks, job: str
) -> dict[str, Any]:
    claims = [{"name": CLAIM, "resourceClaimTemplateName": claim_name(job)}] if gpus.device_class else []
    spot = settings.spot if resources.wants_spot else None
    selectors = _selectors(resources, settings)
    fields: dict[str, Any] = {
        "nodeSelector": {key: value for selector in selectors.values() for key, value in selector.items()},
        "tolerations": _once([*settings.tolerations, *gpus.model.tolerations, *(spot.tolerations if spot else ())]),
        "affinity": settings.affinity,
        "topologySpreadConstraints": list(settings.topology_spread),
        "runtimeClassName": settings.runtime_class,
        "resourceClaims": claims,
        **marks.pod_spec,
    }
    return {name: value for name, value in fields.items() if value}


def _container_resources(resources: Resources, gpus: GpuPlacement) -> dict[str, Any]:
    both = {"memory": resources.memory, "ephemeral-storage": resources.disk}
    amounts = {name: str(amount).strip() for name, amount in both.items() if amount is not None}
    cpu = {"cpu": str(resources.cpu).strip()} if resources.cpu is not None else {}
    fields: dict[str, Any] = {
        "requests": {**cpu, **amounts},
        "limits": {**amounts, **gpus.limits},
        "claims": [{"name": CLAIM}] if gpus.device_class else [],
    }
    return {name: value for name, value in fields.items() if value}


def _selectors(resources: Resources, settings: KubernetesSettings) -> dict[str, Mapping[str, str]]:
    """Who in the target selects nodes for this step, and how."""
    model = resources.gpus.model if resources.gpus else None
    selectors: dict[str, Mapping[str, str]] = {"node_selector": settings.node_selector}
    if model and model in settings.gpus:
        selectors[f"gpus.{model}"] = settings.gpus[model].node_selector
    if resources.wants_spot and settings.spot:
        selectors["spot"] = settings.spot.node_selector
    return selectors


def _selector_problems(resources: Resources, settings: KubernetesSettings) -> list[Problem]:
    chosen: dict[str, tuple[str, str]] = {}
    problems = []
    for origin, selector in _selectors(resources, settings).items():
        for key, value in selector.items():
            before, other = chosen.setdefault(key, (origin, value))
            if other != value:
                problems.append(
                    Problem(
                        f"no node has two values: `{before}` selects {key}={other}, `{origin}` selects {key}={value}",
                        "take the label out of one of them, or use a target of its own",
                        field=f"node_selector {key}",
                    )
                )
    return problems


def _once(items: Iterable[Any]) -> list[Any]:
    """Each item once, in the order of the first."""
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
