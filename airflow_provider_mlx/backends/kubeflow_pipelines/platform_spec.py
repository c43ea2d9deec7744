"""
The Kubernetes side of a step's pod: ``KubernetesExecutorConfig`` as JSON, beside the pipeline.

Only fields that servers of 2.14 know are written: an unknown field in it is a 500, and an unknown field beside it drops
all of it without a word (``lost_problems`` of ``plan.py`` looks for that). Names of objects are written twice, by the
deprecated field and by its successor, as the SDK does. Sources: ``kubernetes_executor_config.proto`` of 2.14.3 and of
2.17.0, and ``backend/src/v2/driver/k8s.go`` for what is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.kubernetes.names import job_labels
from airflow_provider_mlx.step.quantities import parse_bytes
from airflow_provider_mlx.step.spec import JobSpec

from .ir import EXECUTOR
from .settings import GpuNodes, KubeflowPipelinesSettings, Volume

_SHM: Final = "mlx-shm"
_SCRATCH: Final = "mlx-scratch"


def platform_spec(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """``PlatformSpec`` of the step's pipeline."""
    executors = {EXECUTOR: executor_config(spec, settings)}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def executor_config(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """``KubernetesExecutorConfig`` of the step's task."""
    selector = {key: value for one in selectors(spec, settings).values() for key, value in one.items()}
    fields: dict[str, Any] = {
        "podMetadata": _metadata(spec, settings),
        "nodeSelector": {"labels": selector} if selector else {},
        "tolerations": [_toleration(one) for one in _tolerations(spec, settings)],
        "nodeAffinity": list(_affinity(settings.affinity.get("nodeAffinity") or {})),
        "secretAsEnv": [_secret_variable(name, where) for name, where in sorted(spec.secrets.items())],
        **_volumes(settings),
        "emptyDirMounts": _shared_memory(spec),
        "genericEphemeralVolume": _scratch(spec, settings),
        "imagePullPolicy": settings.image_pull_policy,
        "imagePullSecret": [_named("secretName", name) for name in settings.image_pull_secrets],
        # Counts from when the kubelet has taken the pod: queueing does not count. JSON has 64-bit numbers as text.
        "activeDeadlineSeconds": str(spec.native_limit_seconds) if spec.native_limit_seconds else None,
    }
    return {name: value for name, value in fields.items() if value}


def selectors(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Mapping[str, str]]:
    """Who in the target selects nodes for this step, and how."""
    found: dict[str, Mapping[str, str]] = {"node_selector": settings.node_selector}
    gpus = spec.resources.gpus
    if gpus and gpus.model in settings.gpus:
        found[f"gpus.{gpus.model}"] = settings.gpus[gpus.model].node_selector
    if spec.resources.wants_spot and settings.spot:
        found["spot"] = settings.spot.node_selector
    return found


def _tolerations(spec: JobSpec, settings: KubeflowPipelinesSettings) -> Iterator[Mapping[str, Any]]:
    gpus = spec.resources.gpus
    model = settings.gpus.get(gpus.model, GpuNodes()) if gpus and gpus.model else GpuNodes()
    spot = settings.spot.tolerations if spec.resources.wants_spot and settings.spot else ()
    found: list[Mapping[str, Any]] = []
    for one in (*settings.tolerations, *model.tolerations, *spot):
        if one not in found:
            found.append(one)
    yield from found


def _toleration(given: Mapping[str, Any]) -> dict[str, Any]:
    seconds = given.get("tolerationSeconds")
    return {**given, **({"tolerationSeconds": str(seconds)} if seconds is not None else {})}


def _affinity(nodes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A node affinity as Kubernetes writes it, as terms: one with a weight is preferred, one without is required."""
    required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        yield dict(term)
    for one in nodes.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        yield {**one["preference"], "weight": one["weight"]}


def _metadata(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    labels = {**settings.labels, **job_labels(spec)}
    return {"labels": labels, **({"annotations": dict(settings.annotations)} if settings.annotations else {})}


def _named(field: str, name: str) -> dict[str, Any]:
    """The name of an object, for servers that know the deprecated field and for those that will know its successor."""
    return {field: name, f"{field}Parameter": {"runtimeValue": {"constant": name}}}


def _secret_variable(variable: str, reference: Mapping[str, Any]) -> dict[str, Any]:
    """The kubelet reads the value, and nobody else sees it."""
    keys = [{"secretKey": str(reference["key"]), "envVar": variable}]
    return {**_named("secretName", str(reference["name"])), "keyToEnv": keys}


def _volumes(settings: KubeflowPipelinesSettings) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"pvcMount": [], "configMapAsVolume": [], "secretAsVolume": []}
    for volume in settings.volumes:
        field, mount = _mount(volume)
        found[field].append({**mount, "mountPath": volume.path})
    return found


def _mount(volume: Volume) -> tuple[str, dict[str, Any]]:
    if volume.claim:
        parameter = {"runtimeValue": {"constant": volume.claim}}
        return "pvcMount", {"constant": volume.claim, "pvcNameParameter": parameter}
    if volume.config_map:
        return "configMapAsVolume", _named("configMapName", volume.config_map)
    return "secretAsVolume", _named("secretName", volume.secret)


def _shared_memory(spec: JobSpec) -> list[dict[str, Any]]:
    """``/dev/shm`` as memory of this size. The schema's ``enabledSharedMemory`` is read by no driver."""
    if spec.resources.shm is None:
        return []
    size = str(parse_bytes(spec.resources.shm))
    return [{"volumeName": _SHM, "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": size}]  # noqa: S108


def _scratch(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[dict[str, Any]]:
    """A volume of the pod's own: the schema has no request for the node's disk."""
    if spec.resources.disk is None or settings.scratch is None:
        return []
    storage = settings.scratch.storage_class
    return [
        {
            "volumeName": _SCRATCH,
            "mountPath": settings.scratch.path,
            "accessModes": ["ReadWriteOnce"],
            "size": str(spec.resources.disk).strip(),
            **({"storageClassName": storage} if storage else {"defaultStorageClass": True}),
        }
    ]
