"""A step as a request: one ``batch/v1`` Job, and what belongs to it. Source: the API reference of Kubernetes 1.36."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.runtime.ranks import MASTER_PORT
from airflow_provider_mlx.step.spec import JobSpec

from .merging import strategic_merge
from .mounts import code_of
from .names import JOB, RESULT, job_annotations, job_labels
from .pod import CONTAINER, pod_template
from .results import TERMINATION_MESSAGE
from .scheduling import Placement, placement
from .settings import KubernetesSettings

FAILURE_POLICY: Final[Mapping[str, Any]] = {
    "rules": [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
    ]
}
"""
It changes nothing of what happens, but the job then says why it failed: a pod that is evicted, preempted or deleted is
gone when the job has failed, and its word with it.
"""
_TERMINATED: Final[Mapping[str, Any]] = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}}
"""
For a job in Kueue's hands: a preemption suspends it, its pods end by SIGTERM, and that must not fail a job which is to
run again when it is admitted.
"""


def failure_policy(*, queued: bool) -> dict[str, Any]:
    """
    ``podFailurePolicy`` of a job.

    :param queued: somebody else suspends and resumes it.
    """
    taken_away, others = FAILURE_POLICY["rules"]
    return {"rules": [taken_away, _TERMINATED, others]} if queued else dict(FAILURE_POLICY)


def job_request(spec: JobSpec, settings: KubernetesSettings) -> dict[str, Any]:
    """
    What is submitted for a step, as plain JSON.

    ``manifest`` is the job; ``objects`` are made right after it, owned by it, and ``code`` says what its ConfigMap
    holds: the bundle itself stays in the artifact root until then.
    """
    where = placement(spec.resources, settings, job=spec.name, container=CONTAINER)
    nodes = spec.resources.node_count
    template = pod_template(spec, settings, where, env=_places(spec, settings) if nodes > 1 else None)
    if nodes > 1:
        template["spec"] |= {"subdomain": spec.name}
    template = strategic_merge(template, settings.pod_override)
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": object_metadata(spec, settings, where),
        "spec": {
            # One pod and no second one: whether a lost step runs again is decided by who knows the ledger.
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": failure_policy(queued=where.suspend),
            "ttlSecondsAfterFinished": int(settings.ttl.total_seconds()),
            "completions": nodes,
            "parallelism": nodes,
            **({"completionMode": "Indexed"} if nodes > 1 else {}),
            **({"suspend": True} if where.suspend else {}),
            "template": template,
        },
    }
    services = [headless_service(spec)] if nodes > 1 else []
    return request_of(spec, settings, manifest, [*services, *where.objects])


def request_of(
    spec: JobSpec, settings: KubernetesSettings, manifest: Mapping[str, Any], objects: list[Any]
) -> dict[str, Any]:
    """The common frame of a request, whatever the kind of its job."""
    code = code_of(spec, settings)
    request: dict[str, Any] = {
        "name": spec.name,
        "namespace": settings.namespace,
        "kind": manifest["kind"],
        "manifest": manifest,
        "objects": objects,
    }
    if code is not None and code.config_map and spec.bundle is not None:
        request["code"] = {"config_map": code.config_map, "uri": spec.bundle.uri, "sha256": spec.bundle.sha256}
    return request


def object_metadata(spec: JobSpec, settings: KubernetesSettings, where: Placement) -> dict[str, Any]:
    """``metadata`` of the job's object."""
    return {
        "name": spec.name,
        "namespace": settings.namespace,
        "labels": {**settings.labels, **where.job_labels, **job_labels(spec)},
        "annotations": {
            **settings.annotations,
            **where.job_annotations,
            **job_annotations(spec),
            **({RESULT: TERMINATION_MESSAGE} if spec.command is not None else {}),
        },
    }


def headless_service(spec: JobSpec) -> dict[str, Any]:
    """Gives the pods of an indexed job their host names; source: kubernetes.io/docs/tasks/job/job-with-pod-to-pod-…"""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": spec.name, "labels": job_labels(spec)},
        "spec": {
            "clusterIP": "None",
            "selector": {JOB: spec.name},
            "publishNotReadyAddresses": True,  # they look for each other before any of them is ready
        },
    }


def _places(spec: JobSpec, settings: KubernetesSettings) -> dict[str, str]:
    """What the runtime makes RANK, WORLD_SIZE and MASTER_ADDR of; ``JOB_COMPLETION_INDEX`` is the Job's own."""
    return {
        "MLX_NODES": str(spec.resources.node_count),
        "MLX_MASTER_ADDR": f"{spec.name}-0.{spec.name}.{settings.namespace}.svc",
        "MLX_MASTER_PORT": str(MASTER_PORT),
        "MLX_PROCESSES_PER_NODE": str(processes_per_node(spec)),
    }


def processes_per_node(spec: JobSpec) -> int:
    """With torchrun one process per GPU; else one."""
    gpus = spec.resources.gpus
    return max(1, int(gpus.count)) if gpus and spec.resources.launcher == "torchrun" else 1
