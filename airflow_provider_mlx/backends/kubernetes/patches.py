"""
How a TrainJob changes the runtime that it refers to: one meaning, three spellings.

``podSpecOverrides`` (Trainer 2.0), ``podTemplateOverrides`` (2.1), ``runtimePatches`` (2.2 and later). Which of them
the cluster serves stands in its OpenAPI document, which every identity may read (a CRD is a cluster's administrator's);
source: ``pkg/apis/trainer/v1alpha1/trainjob_types.go`` of each version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .names import OURS

OPENAPI: Final = "/openapi/v3/apis/trainer.kubeflow.org/v1alpha1"
SPELLINGS: Final = ("runtimePatches", "podTemplateOverrides", "podSpecOverrides")
"""The newest first."""

PATCHABLE: Final = frozenset(
    {
        "serviceAccountName", "volumes", "initContainers", "containers", "imagePullSecrets", "securityContext",
        "nodeSelector", "affinity", "tolerations", "schedulingGates", "terminationGracePeriodSeconds",
    }
)  # fmt: skip
"""The fields of a pod that a patch may hold, on the newest version."""
_OLDEST: Final = frozenset(
    {"serviceAccountName", "nodeSelector", "tolerations", "volumes", "initContainers", "containers", "schedulingGates"}
)
_LEFT_TO_THE_RUNTIME: Final = frozenset(
    {"restartPolicy", "automountServiceAccountToken", "enableServiceLinks", "activeDeadlineSeconds"}
)
"""What a pod of ours has and a cluster's runtime decides for its own; a step's time limit is kept all the same."""
_OF_A_CONTAINER: Final = ("name", "volumeMounts")
_BY_TRAINER: Final = frozenset({"image", "command", "env", "resources"})
"""What of the training container goes through the TrainJob's ``trainer``."""


def runtime_patch(template: Mapping[str, Any], container: str) -> dict[str, Any]:
    """What of a pod template a patch may carry."""
    spec = {key: value for key, value in template["spec"].items() if key in PATCHABLE and value}
    spec["containers"] = [
        {key: item[key] for key in _OF_A_CONTAINER if key in item}
        | ({"securityContext": item["securityContext"]} if "securityContext" in item else {})
        for item in template["spec"]["containers"]
        if item["name"] == container
    ]
    return {"metadata": template["metadata"], "spec": spec}


def unpatchable(template: Mapping[str, Any], container: str) -> list[str]:
    """
    The fields of a pod template that no patch may carry: they would be dropped without a word.

    :param container: the training container's name.
    """
    spec = template["spec"]
    carried = {*_OF_A_CONTAINER, *_BY_TRAINER, "securityContext"}
    main = next(item for item in spec["containers"] if item["name"] == container)
    others = [f"containers[{item['name']}]" for item in spec["containers"] if item is not main]
    return sorted(
        [field for field in spec.keys() - PATCHABLE - _LEFT_TO_THE_RUNTIME if spec[field]]
        + [f"containers[{container}].{field}" for field in main.keys() - carried if main[field]]
        + others
    )


def served_spelling(document: Mapping[str, Any]) -> str:
    """The newest spelling that the TrainJob of an OpenAPI document knows."""
    for schema in document["components"]["schemas"].values():
        kinds = [kind["kind"] for kind in schema.get("x-kubernetes-group-version-kind", ())]
        if "TrainJob" in kinds:
            properties = schema["properties"]["spec"]["properties"]
            return next((name for name in SPELLINGS if name in properties), SPELLINGS[0])
    return SPELLINGS[0]


def spelled(patch: Mapping[str, Any], spelling: str, job: str) -> list[dict[str, Any]]:
    """
    A patch as the cluster takes it.

    :param job: the replicated job whose pods are meant.
    """
    if spelling == "podSpecOverrides":
        spec = {key: value for key, value in patch["spec"].items() if key in _OLDEST}
        spec["containers"] = [{key: item[key] for key in _OF_A_CONTAINER if key in item} for item in spec["containers"]]
        return [{"targetJobs": [{"name": job}], **spec}]
    if spelling == "podTemplateOverrides":
        return [{"targetJobs": [{"name": job}], **patch}]
    template = {"name": job, "template": {"spec": {"template": patch}}}
    return [{"manager": OURS, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [template]}}}}]
