"""What of the artifact store is a folder in a step's pod."""

from __future__ import annotations

from airflow_provider_mlx.runtime.addresses import mounted_path
from airflow_provider_mlx.runtime.protocol import Mount

from .settings import KubeflowPipelinesSettings


def store_mounts(settings: KubeflowPipelinesSettings) -> list[Mount]:
    """The parts of the artifact store that are folders in a pod."""
    return [Mount(uri=volume.uri, path=volume.path) for volume in settings.volumes if volume.uri]


def path_in_pod(uri: str, settings: KubeflowPipelinesSettings) -> str | None:
    """The object as a file of the pod, if one of the target's volumes shows it."""
    found = mounted_path(uri, store_mounts(settings))
    return str(found) if found is not None else None
