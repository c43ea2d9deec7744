"""What a job's pod has on its file system: the target's volumes, its code, and what of the store they show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.runtime.addresses import mounted_path
from airflow_provider_mlx.runtime.protocol import Mount
from airflow_provider_mlx.step.spec import JobSpec, ObjectReference

from .settings import KubernetesSettings, Volume

CODE_FOLDER: Final = "/mlx/code"
CODE_FILE: Final = "bundle.zip.gz"
CONFIG_MAP_BYTES: Final = 900 * 1024
"""A ConfigMap holds 1 MiB; source: kubernetes.io/docs/concepts/configuration/configmap."""


@dataclass(frozen=True)
class Code:
    """
    How a job gets its bundle.

    :param path: where the bootstrap finds it: a file of the pod, or a URI.
    :param config_map: the ConfigMap that brings it; empty where it is not needed.
    """

    path: str
    config_map: str = ""


def store_mounts(settings: KubernetesSettings) -> list[Mount]:
    """The parts of the artifact store that are folders in a pod."""
    return [Mount(uri=volume.uri, path=volume.path) for volume in settings.volumes if volume.uri]


def path_in_pod(uri: str, settings: KubernetesSettings) -> str | None:
    """The object as a file of the pod, if one of the target's volumes shows it."""
    found = mounted_path(uri, store_mounts(settings))
    return str(found) if found is not None else None


def code_of(spec: JobSpec, settings: KubernetesSettings) -> Code | None:
    """How the bundle gets into the pod; ``None`` for a container command."""
    bundle = spec.bundle
    if bundle is None:
        return None
    mounted = path_in_pod(bundle.uri, settings)
    if settings.code == "auto" and mounted is not None:
        return Code(mounted)
    if settings.code == "store":
        return Code(mounted or bundle.uri)
    return Code(f"{CODE_FOLDER}/{CODE_FILE}", config_map=config_map_name(spec, bundle))


def config_map_name(spec: JobSpec, bundle: ObjectReference) -> str:
    """The job's own, so that it goes with the job; named by its content too, since it never changes."""
    return f"{spec.name}-{bundle.sha256[:8]}"


def pod_volumes(settings: KubernetesSettings, code: Code | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``volumes`` of a pod and ``volumeMounts`` of its main container."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    for number, volume in enumerate(settings.volumes):
        name = f"volume-{number}"
        volumes.append({"name": name, **_source(volume)})
        mount = {"name": name, "mountPath": volume.path, "readOnly": volume.read_only, "subPath": volume.sub_path}
        mounts.append({key: value for key, value in mount.items() if value})
    if code is not None and code.config_map:
        volumes.append({"name": "code", "configMap": {"name": code.config_map}})
        mounts.append({"name": "code", "mountPath": CODE_FOLDER, "readOnly": True})
    return volumes, mounts


def secret_variables(secrets: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """``env`` entries of a step's secrets: the kubelet reads the value, and nobody else sees it."""
    for variable, reference in sorted(secrets.items()):
        source = {"name": reference["name"], "key": reference["key"]}
        yield {"name": variable, "valueFrom": {"secretKeyRef": source}}


def _source(volume: Volume) -> dict[str, Any]:
    if volume.claim:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    if volume.config_map:
        return {"configMap": {"name": volume.config_map}}
    if volume.secret:
        return {"secret": {"secretName": volume.secret}}
    return {"hostPath": {"path": volume.host_path}}
