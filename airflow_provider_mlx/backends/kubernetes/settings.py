"""The keys of a ``backend: kubernetes`` target of a stack file, and of ``backend: trainer``, which adds a few."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from airflow_provider_mlx.backends.base import TargetSettings
from airflow_provider_mlx.stacks.model import Span

RESTRICTED_USER = 65532
"""The user id of "nonroot" in the distroless images; any id but 0 passes the restricted Pod Security Standard."""

Keep = Literal["always", "on_failure", "never"]
Scheduler = Literal["default", "kai", "kueue", "volcano"]
Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuModel(_Part):
    """
    Where pods that ask for one model of GPU go.

    :param resource: the extended resource that a device plugin advertises, as ``nvidia.com/mig-1g.10gb``; empty for
        the target's ``gpu_resource``.
    :param device_class: a DRA DeviceClass: the GPUs are claimed by a ResourceClaimTemplate instead of a resource.
    :param node_selector: labels of the nodes that have this model.
    :param tolerations: of the taints of these nodes.
    """

    resource: str = ""
    device_class: str = ""
    node_selector: dict[str, Text] = {}
    tolerations: tuple[dict[str, Any], ...] = ()


class SpotNodes(_Part):
    """
    Where pods go whose nodes may be taken back.

    :param node_selector: labels that your cloud gives such nodes.
    :param tolerations: of the taints that it gives them.
    """

    node_selector: dict[str, Text] = {}
    tolerations: tuple[dict[str, Any], ...] = ()


class Topology(_Part):
    """
    How near to each other the pods of one job must be, for KAI and Kueue.

    :param name: the Topology object (KAI only; Kueue takes the flavor's).
    :param required: node label of the level that all pods must share, as ``topology.kubernetes.io/zone``.
    :param preferred: the level that they should share.
    """

    name: str = ""
    required: str = ""
    preferred: str = ""


class Volume(_Part):
    """
    A volume in every pod; exactly one of its four sources is set.

    :param path: where it is mounted.
    :param claim: a PersistentVolumeClaim.
    :param config_map: a ConfigMap, a file per key.
    :param secret: a Secret, a file per key.
    :param host_path: a folder of the node; the restricted Pod Security Standard forbids it.
    :param sub_path: a folder or file in the source, instead of all of it.
    :param read_only: nothing can be written to it.
    :param uri: what lies under this URI is under ``path`` in the job: an artifact root, or a dataset prefix.
    """

    path: str
    claim: str = ""
    config_map: str = ""
    secret: str = ""
    host_path: str = ""
    sub_path: str = ""
    read_only: bool = False
    uri: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [name for name in ("claim", "config_map", "secret", "host_path") if getattr(self, name)]
        if len(sources) != 1:
            raise ValueError("a volume has one source: claim, config_map, secret or host_path")
        return self


class EnvironmentSource(_Part):
    """
    All keys of a Secret or of a ConfigMap as environment variables; what the job's identity needs, not a step's.

    :param secret: a Secret of the namespace.
    :param config_map: a ConfigMap of the namespace.
    """

    secret: str = ""
    config_map: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.secret) == bool(self.config_map):
            raise ValueError("name one of secret and config_map")
        return self


class KubernetesSettings(TargetSettings):
    """
    :param namespace: where jobs are made.
    :param scheduler: ``kai`` and ``volcano`` set the pod's scheduler, ``kueue`` lets Kueue admit the job.
    :param queue: of that scheduler.
    :param preemptible: KAI: whether the job may be preempted; left out, its priority class decides.
    :param topology: KAI and Kueue: how near to each other the pods of one job must be.
    :param node_selector: labels that a node must have.
    :param tolerations: of taints of nodes, as a pod has them.
    :param affinity: of a pod, as Kubernetes writes it.
    :param topology_spread: ``topologySpreadConstraints`` of a pod.
    :param priority_class: a PriorityClass; a step's own ``Resources(priority=…)`` comes first.
    :param runtime_class: a RuntimeClass, as ``nvidia`` or ``gvisor``.
    :param spot: where nodes are that may be taken back.
    :param gpu_resource: the extended resource of a GPU without a model.
    :param gpu_memory: KAI: memory of a shared GPU per pod, as ``20Gi``, instead of ``Resources(gpu=0.5)``.
    :param gpus: GPU models by name, and where they are.
    :param service_account: the jobs' own; empty for the namespace's ``default``.
    :param mount_service_account_token: whether a job may talk to the API server in that name.
    :param image_pull_secrets: Secrets for the image's registry.
    :param image_pull_policy: left out, Kubernetes decides by the image's tag.
    :param env_from: Secrets and ConfigMaps whose keys are environment variables.
    :param volumes: what is mounted into every pod.
    :param non_root: whether Kubernetes refuses to start a container as root.
    :param run_as_user: the pods' user id; ``null`` takes the image's user, which must not be root either while
        ``non_root`` holds (OpenShift chooses ids itself).
    :param run_as_group: the pods' group id; left out, the image's.
    :param fs_group: the group that volumes belong to.
    :param read_only_root: whether the image's file system cannot be written to; ``/tmp`` always can.
    :param privilege_escalation: whether a process may get more rights than its parent.
    :param drop_capabilities: whether all Linux capabilities are taken away.
    :param seccomp: the profile of system calls.
    :param code: how a job gets its code: a ConfigMap, or the artifact store by a client in the image; ``auto`` takes
        a mounted root, else a ConfigMap (up to 900 KiB).
    :param labels: further labels of jobs and pods.
    :param annotations: further annotations of jobs and pods.
    :param pod_override: a strategic merge patch of the pod (``metadata``, ``spec``): applied last.
    :param keep: which finished jobs stay in the cluster after their result was collected, until ``ttl``.
    :param ttl: a finished job is removed by the cluster after this time, collected or not; its result is in the
        artifact root.
    :param grace_seconds: from SIGTERM to SIGKILL; the runtime gives the user's code 30 s of it.
    :param console_url: the job's page in a dashboard, with ``{namespace}``, ``{job}``, ``{uid}`` and ``{kind}``.
    """

    namespace: str = Field(default="default", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")

    scheduler: Scheduler = "default"
    queue: Text = ""
    preemptible: bool | None = None
    topology: Topology = Topology()
    node_selector: dict[str, Text] = Field(default={})
    tolerations: tuple[dict[str, Any], ...] = ()
    affinity: dict[str, Any] = Field(default={})
    topology_spread: tuple[dict[str, Any], ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    spot: SpotNodes | None = None

    gpu_resource: str = "nvidia.com/gpu"
    gpu_memory: str = ""
    gpus: dict[str, GpuModel] = Field(default={})

    service_account: str = ""
    mount_service_account_token: bool = False
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    env_from: tuple[EnvironmentSource, ...] = ()
    volumes: tuple[Volume, ...] = ()

    non_root: bool = True
    run_as_user: Annotated[int, Field(ge=0)] | None = RESTRICTED_USER
    run_as_group: Annotated[int, Field(ge=0)] | None = None
    fs_group: Annotated[int, Field(ge=0)] | None = None
    read_only_root: bool = True
    privilege_escalation: bool = False
    drop_capabilities: bool = True
    seccomp: Literal["RuntimeDefault", "Unconfined"] = "RuntimeDefault"

    code: Literal["auto", "config_map", "store"] = "auto"
    labels: dict[str, Text] = Field(default={})
    annotations: dict[str, Text] = Field(default={})
    pod_override: dict[str, Any] = Field(default={})
    keep: Keep = "on_failure"
    ttl: Span = timedelta(days=7)
    grace_seconds: Annotated[int, Field(ge=1)] = 45
    console_url: str = ""

    @field_validator("pod_override")
    @classmethod
    def _parts_of_a_pod(cls, value: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(value) - {"metadata", "spec"}):
            raise ValueError(f"a pod has `metadata` and `spec`, not {', '.join(unknown)}")
        return value


class TrainerSettings(KubernetesSettings):
    """
    :param runtime: a runtime of the cluster's, as ``torch-distributed``; empty: every job brings its own, which can
        say all that a target says.
    :param runtime_kind: whether it is the whole cluster's or the namespace's.
    """

    runtime: str = ""
    runtime_kind: Literal["ClusterTrainingRuntime", "TrainingRuntime"] = "ClusterTrainingRuntime"


class ResourceKind(_Part):
    """
    The kind of an object that somebody brings, or waits for.

    :param name: the object's own name; empty: it is the job's.
    :param success: texts for ``kinds.parse_sign``, as are ``failure`` and ``running``; none for a kind of ``KINDS``.
    :param suspend: path of the field that suspends it; without one it is stopped by deleting it.
    :param foreign: we did not make it, and only look.
    """

    api_version: str
    kind: str
    plural: str = ""
    name: str = ""
    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    pods_label: str = ""
    suspend: str = ""
    foreign: bool = False


class ResourceSettings(KubernetesSettings):
    """Where an object goes that somebody brings; what makes a step's pod has no meaning for it."""

    resource: ResourceKind
