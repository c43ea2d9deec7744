"""What a target needs of its cluster, read off its keys: rights, APIs, and objects that somebody else has made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .paths import collection_path
from .rights import DEVICES, JOBS, PODS, SCHEDULERS, TRAINER, Right
from .settings import KubernetesSettings, TrainerSettings

VERSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "trainer.kubeflow.org": ("v1alpha1",),
    "kueue.x-k8s.io": ("v1beta2", "v1beta1"),
    "scheduling.run.ai": ("v2",),
    "scheduling.volcano.sh": ("v1beta1",),
    "resource.k8s.io": ("v1",),
}
"""API group → the versions that this backend speaks, of which the cluster must serve one."""

PRODUCTS: Final[Mapping[str, str]] = {
    "trainer.kubeflow.org": "Kubeflow Trainer v2",
    "kueue.x-k8s.io": "Kueue",
    "scheduling.run.ai": "KAI scheduler",
    "scheduling.volcano.sh": "Volcano",
    "resource.k8s.io": "dynamic resource allocation (Kubernetes 1.34)",
}
"""API group → what serves it."""

_BY_SCHEDULER: Final = {
    "kueue": "kueue.x-k8s.io",
    "kai": "scheduling.run.ai",
    "volcano": "scheduling.volcano.sh",
}


@dataclass(frozen=True)
class Named:
    """
    An object that a target names, and that must be there before a job.

    :param kind: for people.
    :param group: API group; empty for the core's.
    :param key: the target's key that names it.
    """

    kind: str
    group: str
    plural: str
    name: str
    key: str
    namespaced: bool = True

    def path(self, version: str, namespace: str) -> str:
        """Where it stands in the API."""
        api_version = f"{self.group}/{version}" if self.group else version
        return f"{collection_path(api_version, self.plural, namespace if self.namespaced else '')}/{self.name}"


def rights_of(settings: KubernetesSettings) -> tuple[Right, ...]:
    """What Airflow's identity must be allowed in the target's namespace."""
    if isinstance(settings, TrainerSettings):
        # A runtime of the cluster's is referred to by name, and the TrainJob's controllers make gangs themselves.
        jobs = tuple(right for right in TRAINER if not (settings.runtime and right.resource == "trainingruntimes"))
        scheduler = SCHEDULERS[settings.scheduler] if settings.scheduler == "kueue" else ()
    else:
        jobs, scheduler = JOBS, SCHEDULERS[settings.scheduler]
    return (*jobs, *PODS, *scheduler, *(DEVICES if _claims(settings) else ()))


def groups_of(settings: KubernetesSettings) -> tuple[str, ...]:
    """API groups that the cluster must serve beside its own."""
    found = ["trainer.kubeflow.org"] if isinstance(settings, TrainerSettings) else []
    found += [_BY_SCHEDULER[settings.scheduler]] if settings.scheduler in _BY_SCHEDULER else []
    return (*found, *(["resource.k8s.io"] if _claims(settings) else []))


def objects_of(settings: KubernetesSettings, secrets: Mapping[str, Mapping[str, Any]]) -> tuple[Named, ...]:
    """
    What the target names, each object once.

    :param secrets: of the target: logical name → ``{name: …, key: …}``.
    """
    found = {(one.plural, one.name): one for one in (*_of_the_pod(settings, secrets), *_of_scheduling(settings))}
    return tuple(one for one in found.values() if one.name)


def _of_the_pod(settings: KubernetesSettings, secrets: Mapping[str, Mapping[str, Any]]) -> Iterator[Named]:
    yield Named("ServiceAccount", "", "serviceaccounts", settings.service_account, "service_account")
    for logical, reference in secrets.items():
        yield Named("Secret", "", "secrets", str(reference.get("name", "")), f"secrets.{logical}")
    for name in settings.image_pull_secrets:
        yield Named("Secret", "", "secrets", name, "image_pull_secrets")
    for source in settings.env_from:
        yield Named("Secret", "", "secrets", source.secret, "env_from")
        yield Named("ConfigMap", "", "configmaps", source.config_map, "env_from")
    for volume in settings.volumes:
        yield Named("Secret", "", "secrets", volume.secret, "volumes")
        yield Named("ConfigMap", "", "configmaps", volume.config_map, "volumes")
        yield Named("PersistentVolumeClaim", "", "persistentvolumeclaims", volume.claim, "volumes")
    yield Named("RuntimeClass", "node.k8s.io", "runtimeclasses", settings.runtime_class, "runtime_class", False)


def _of_scheduling(settings: KubernetesSettings) -> Iterator[Named]:
    priority = settings.priority_class
    yield Named("PriorityClass", "scheduling.k8s.io", "priorityclasses", priority, "priority_class", False)
    if settings.scheduler == "kueue":
        yield Named("LocalQueue", "kueue.x-k8s.io", "localqueues", settings.queue, "queue")
    elif settings.scheduler in _BY_SCHEDULER:
        yield Named("Queue", _BY_SCHEDULER[settings.scheduler], "queues", settings.queue, "queue", False)
    yield Named("Topology", "kai.scheduler", "topologies", settings.topology.name, "topology", False)
    for model, gpu in settings.gpus.items():
        yield Named("DeviceClass", "resource.k8s.io", "deviceclasses", gpu.device_class, f"gpus.{model}", False)
    if isinstance(settings, TrainerSettings):
        kind = settings.runtime_kind
        own = kind == "TrainingRuntime"
        yield Named(kind, "trainer.kubeflow.org", f"{kind.lower()}s", settings.runtime, "runtime", own)


def _claims(settings: KubernetesSettings) -> bool:
    return any(model.device_class for model in settings.gpus.values())
