"""
The ``trainer`` backend: a step on several nodes is a TrainJob of Kubeflow Trainer v2.

A TrainJob says little about its pods: no scheduler, no priority, no retries, and what it may say has changed its name
three times. So a job brings a TrainingRuntime of its own, which may say all of it, on every version; a stack that
names a runtime of the cluster's gets that one, and what a TrainJob cannot change of it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from airflow_provider_mlx.exceptions import JobMisconfigured, Problem
from airflow_provider_mlx.step.spec import JobSpec

from .backend import KubernetesBackend
from .merging import strategic_merge
from .names import job_labels
from .patches import OPENAPI, runtime_patch, served_spelling, spelled, unpatchable
from .plan import object_metadata, processes_per_node, request_of
from .pod import pod_template
from .scheduling import Placement, placement, placement_problems
from .settings import TrainerSettings

API_VERSION: Final = "trainer.kubeflow.org/v1alpha1"
NODE: Final = "node"
"""The name of the training container and of its replicated job; source: Trainer's ``pkg/constants``."""
_ANCESTOR: Final = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


class TrainerBackend(KubernetesBackend):
    """Runs steps as TrainJobs."""

    name = "trainer"
    settings_model = TrainerSettings
    settings: TrainerSettings
    kind = "TrainJob"
    _spelling: str | None = None
    cannot: ClassVar[Mapping[str, str]] = {
        "command": "a TrainJob runs training code → use a kubernetes target for a container command",
    }

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The TrainJob, and its runtime unless the cluster's is used."""
        return trainjob_request(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What no pod of this target can be, and what the cluster's runtime keeps for itself."""
        return super().problems(spec) + runtime_problems(spec, self.settings)

    def _fit(self, manifest: dict[str, Any], request: Mapping[str, Any]) -> None:
        patch = request.get("patch")
        if patch is None:
            return
        if self._spelling is None:
            document = self.client.get(OPENAPI)
            if document is None:
                raise JobMisconfigured(
                    "the cluster serves no TrainJob", remedy="install Kubeflow Trainer v2, or use a kubernetes target"
                )
            self._spelling = served_spelling(document)
        manifest["spec"][self._spelling] = spelled(patch, self._spelling, NODE)


def trainjob_request(spec: JobSpec, settings: TrainerSettings) -> dict[str, Any]:
    """What is submitted for a step; ``before`` is made before the job, whose webhook asks for its runtime."""
    where, template = _nodes(spec, settings)
    nodes = spec.resources.node_count
    job: dict[str, Any] = {
        "runtimeRef": {"name": spec.name, "kind": "TrainingRuntime", "apiGroup": API_VERSION.partition("/")[0]},
        "trainer": {"numNodes": nodes, "numProcPerNode": processes_per_node(spec)},
        **({"suspend": True} if where.suspend else {}),
    }
    metadata = object_metadata(spec, settings, where)
    manifest = {"apiVersion": API_VERSION, "kind": "TrainJob", "metadata": metadata, "spec": job}
    request = request_of(spec, settings, manifest, list(where.objects))
    if not settings.runtime:
        return request | {"before": [training_runtime(spec, settings, template, metadata)]}
    job["runtimeRef"] |= {"name": settings.runtime, "kind": settings.runtime_kind}
    main = next(item for item in template["spec"]["containers"] if item["name"] == NODE)
    job["trainer"] |= {
        "image": main["image"], "command": main["command"], "env": main["env"],
        "resourcesPerNode": {key: main["resources"][key] for key in ("requests", "limits") if key in main["resources"]},
    }  # fmt: skip
    return request | {"patch": runtime_patch(template, NODE)}


def _nodes(spec: JobSpec, settings: TrainerSettings) -> tuple[Placement, dict[str, Any]]:
    """Where the pods of the nodes go, and their template."""
    where = placement(spec.resources, settings, job=spec.name, container=NODE, kind="TrainJob")
    return where, strategic_merge(pod_template(spec, settings, where, container=NODE), settings.pod_override)


def training_runtime(
    spec: JobSpec, settings: TrainerSettings, template: Mapping[str, Any], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The job's own runtime; source: docs of Kubeflow Trainer, "Runtime Guide"."""
    job = {
        # One pod per node and no second one, as for any Job of ours; see plan.py.
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "template": template,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRuntime",
        "metadata": {
            "name": spec.name,
            "namespace": settings.namespace,
            "labels": {**job_labels(spec), "trainer.kubeflow.org/framework": "torch"},
        },
        "spec": {
            "mlPolicy": {"numNodes": spec.resources.node_count, "torch": {}},
            "template": {
                "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]},
                "spec": {
                    "ttlSecondsAfterFinished": int(settings.ttl.total_seconds()),
                    "replicatedJobs": [{"name": NODE, "template": {"metadata": {"labels": _ANCESTOR}, "spec": job}}],
                },
            },
        },
    }


def runtime_problems(spec: JobSpec, settings: TrainerSettings) -> list[Problem]:
    """What a TrainJob cannot change of the cluster's own runtime."""
    if not settings.runtime or placement_problems(spec.resources, settings):
        return []
    _, template = _nodes(spec, settings)
    return [
        Problem(
            f"a TrainJob cannot set `{field}` of the runtime `{settings.runtime}`",
            "leave `runtime:` out, so that the job brings a runtime of its own, or set it in the cluster's",
            field="runtime",
        )
        for field in unpatchable(template, NODE)
    ]
