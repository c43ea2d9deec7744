"""The keys of a ``backend: kubeflow_pipelines`` target of a stack file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from airflow_provider_mlx.backends.base import TargetSettings
from airflow_provider_mlx.backends.kubernetes.settings import Keep, SpotNodes, Text
from airflow_provider_mlx.exceptions import Problem

from .cannot import AFFINITY, DEVICE_CLASS, KEYS, VOLUME


def _refuse(given: Any, table: Mapping[str, str]) -> Any:
    """What a table refuses, all of it in one sentence."""
    if isinstance(given, Mapping) and (refused := [f"`{key}`: {why}" for key, why in table.items() if given.get(key)]):
        raise ValueError("; ".join(refused))
    return given


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuNodes(_Part):
    """
    Where pods that ask for one model of GPU go.

    :param resource: the extended resource that a device plugin advertises, as ``nvidia.com/mig-1g.10gb``; empty for
        the target's ``gpu_resource``.
    :param node_selector: labels of the nodes that have this model.
    :param tolerations: of the taints of these nodes.
    """

    resource: str = ""
    node_selector: dict[str, Text] = {}
    tolerations: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _what_cannot_be_set(cls, given: Any) -> Any:
        return _refuse(given, {"device_class": DEVICE_CLASS})


class Volume(_Part):
    """
    A volume in the step's pod; exactly one of its three sources is set.

    :param path: where it is mounted.
    :param claim: a PersistentVolumeClaim.
    :param config_map: a ConfigMap, a file per key.
    :param secret: a Secret, a file per key.
    :param uri: what lies under this URI is under ``path`` in the job: an artifact root, or a dataset prefix.
    """

    path: str
    claim: str = ""
    config_map: str = ""
    secret: str = ""
    uri: str = ""

    @model_validator(mode="before")
    @classmethod
    def _what_cannot_be_set(cls, given: Any) -> Any:
        return _refuse(given, VOLUME)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.claim, self.config_map, self.secret))) != 1:
            raise ValueError("a volume has one source: claim, config_map or secret")
        return self


class Scratch(_Part):
    """
    The volume that a step gets for ``Resources(disk=…)``: made for the pod, and removed with it.

    :param path: where it is mounted; ``TMPDIR`` says so to the step.
    :param storage_class: left out, the cluster's default.
    """

    path: str = "/mlx/scratch"
    storage_class: str = ""


class ServerSettings(TargetSettings):
    """
    What a target says of the server, for steps and for whole pipelines.

    :param address: of the API, as ``http://ml-pipeline.kubeflow:8888``; empty for the connection's.
    :param namespace: of a profile, on a multi-user server; empty for the connection's.
    :param experiment: where runs are listed; it is made if there is none.
    :param kubernetes_conn_id: Airflow connection to the server's cluster, by which the logs of pods are read as they
        are written; empty: by the server, which has them in multi-user mode, or where its archive is set up for it.
    :param pods_namespace: where the pods are; empty for the profile's, or ``kubeflow`` on a single-user server.
    :param service_account: that the pods run as; empty for the server's own (``pipeline-runner``, ``default-editor``).
    :param pipeline_root: where Kubeflow Pipelines keeps its own artifacts, as the log; empty for the namespace's.
    :param keep: what becomes of a run that was collected: removing it removes its pods and its page too.
    :param console_url: the run's page, with ``{namespace}``, ``{run}`` and ``{experiment}``.
    """

    address: str = ""
    namespace: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")
    experiment: str = Field(default="Default", min_length=1, max_length=255)
    kubernetes_conn_id: str = ""
    pods_namespace: str = ""
    service_account: str = ""
    pipeline_root: str = ""
    keep: Keep = "always"
    console_url: str = ""

    def page(self, run: str, experiment: str = "") -> str:
        """
        The address of a run's page; empty where the target gives none.

        :raises LookupError, ValueError, AttributeError: it has other names in braces, or braces that do not close.
        """
        return self.console_url.format(namespace=self.namespace, run=run, experiment=experiment)

    def page_problems(self) -> list[Problem]:
        """What keeps the address of a run's page from being filled in."""
        try:
            self.page("")
        except (LookupError, ValueError, AttributeError) as error:
            what = f"{self.console_url!r} cannot be filled in: {error}"
            return [Problem(what, "it may hold {namespace}, {run} and {experiment}", "console_url")]
        return []


class KubeflowPipelinesSettings(ServerSettings):
    """
    Where steps run as pipelines of one task.

    :param node_selector: labels that a node must have.
    :param tolerations: of taints of nodes, as a pod has them.
    :param affinity: of a pod, as Kubernetes writes it: ``nodeAffinity`` alone.
    :param spot: where nodes are that may be taken back.
    :param gpu_resource: the extended resource of a GPU without a model.
    :param gpus: GPU models by name, and where they are.
    :param scratch: what gives a step the disk that it asks for.
    :param image_pull_secrets: Secrets for the image's registry.
    :param image_pull_policy: left out, Kubernetes decides by the image's tag.
    :param volumes: what is mounted into the step's pod.
    :param labels: further labels of the step's pod, as Kueue's ``kueue.x-k8s.io/queue-name``.
    :param annotations: further annotations of the step's pod.
    """

    node_selector: dict[str, Text] = Field(default={})
    tolerations: tuple[dict[str, Any], ...] = ()
    affinity: dict[str, Any] = Field(default={})
    spot: SpotNodes | None = None
    gpu_resource: str = "nvidia.com/gpu"
    gpus: dict[str, GpuNodes] = Field(default={})
    scratch: Scratch | None = None

    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    volumes: tuple[Volume, ...] = ()
    labels: dict[str, Text] = Field(default={})
    annotations: dict[str, Text] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _what_cannot_be_set(cls, given: Any) -> Any:
        return _refuse(given, KEYS)

    @field_validator("affinity")
    @classmethod
    def _of_nodes_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        _refuse(value, AFFINITY)
        if unknown := sorted(set(value) - {"nodeAffinity", *AFFINITY}):
            raise ValueError(f"an affinity has `nodeAffinity`, not {', '.join(unknown)}")
        return value
