"""
A manifest that somebody brings, as a job: which kind it is, what keeps it from being one, and what we add to it.

What it runs is its author's. We add how it is known again (labels, annotations, a name), how long it may stay, and a
limit that ends it when Airflow is gone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from airflow_provider_mlx.backends.base import Brought
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.step.spec import JobSpec

from .kinds import KINDS, JobKind, custom_kind
from .names import RESULT, job_annotations, job_labels
from .reading import at, text
from .results import TERMINATION_MESSAGE
from .settings import KubernetesSettings, ResourceKind

SHORTEST_TTL: Final = timedelta(hours=1)
"""What the cluster removes before a worker has seen its end is lost, and lost work runs again."""

TTL: Final[Mapping[str, str]] = {
    "Job": "spec.ttlSecondsAfterFinished",
    "JobSet": "spec.ttlSecondsAfterFinished",
    "PyTorchJob": "spec.runPolicy.ttlSecondsAfterFinished",
    "TFJob": "spec.runPolicy.ttlSecondsAfterFinished",
    "MPIJob": "spec.runPolicy.ttlSecondsAfterFinished",
}
"""Where a kind says for how long it stays when it is over; a TrainJob of Trainer 2.0 says nothing."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def kind_of(resource: ResourceKind) -> JobKind:
    """
    The row of a kind: of the table, or of what the user said.

    :raises ValueError: it is in no table, and nothing or nonsense is said of its ends.
    """
    known = KINDS.get(resource.kind)
    if known is not None and known.api_version == resource.api_version and not (resource.success or resource.failure):
        return known
    if not (resource.success and resource.failure):
        raise ValueError(f"nothing says by what a {resource.kind} of {resource.api_version} succeeds and fails")
    return custom_kind(
        resource.api_version, resource.kind, resource.plural, succeeded=resource.success, failed=resource.failure,
        running=resource.running, pods_label=resource.pods_label, suspend=resource.suspend,
    )  # fmt: skip


def kind_problems(resource: ResourceKind) -> list[Problem]:
    """Why a resource cannot be watched to its end."""
    try:
        kind = kind_of(resource)
    except ValueError as error:
        known = ", ".join(f"{row.kind} ({row.api_version})" for row in KINDS.values())
        remedy = f'give `success=` and `failure=`, as ["Complete=True"]; known without them: {known}'
        return [Problem(str(error), remedy, "success, failure")]
    # The watch keeps an object's status, and of its spec only what pauses it.
    paths = [sign.path for sign in (*kind.succeeded, *kind.failed, *kind.running) if sign.path]
    return [
        Problem(f"`{path}` is no part of the status", "name a field under `status.`", "success, failure")
        for path in paths
        if not path.startswith("status.")
    ]


def manifest_problems(manifest: Mapping[str, Any], settings: KubernetesSettings) -> list[Problem]:
    """What keeps a manifest from being a job of ours."""
    problems = []
    metadata = manifest.get("metadata") or {}
    if not isinstance(metadata, Mapping) or not isinstance(manifest.get("spec"), Mapping):
        return [Problem("it is no object with `metadata` and `spec`", "bring one whole object", "manifest")]
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        what = f"`metadata.name` is {name!r}, and pods carry it in a label"
        remedy = "use at most 63 lower-case letters, digits and hyphens, or leave the name out"
        problems.append(Problem(what, remedy, "manifest"))
    if namespace not in (None, settings.namespace):
        what = f"`metadata.namespace` is `{namespace}`, and the job goes to `{settings.namespace}`"
        problems.append(Problem(what, "leave it out of the manifest, or say the same in `namespace=`", "manifest"))
    ttl = at(manifest, TTL.get(text(manifest, "kind"), "-"))
    if isinstance(ttl, int) and ttl < SHORTEST_TTL.total_seconds():
        what = f"the cluster would remove it {ttl} s after its end, and what is gone before it is seen runs again"
        remedy = "leave `ttlSecondsAfterFinished` out: `keep=` says what stays, and the target's `ttl` for how long"
        problems.append(Problem(what, remedy, "manifest"))
    return problems


def resource_request(
    manifest: Mapping[str, Any], kind: JobKind, spec: JobSpec, settings: KubernetesSettings
) -> dict[str, Any]:
    """What is submitted: the manifest, with what is ours in it."""
    made = copy.deepcopy(dict(manifest))
    metadata = dict(made.get("metadata") or {})
    metadata.pop("generateName", None)
    labels = {**settings.labels, **(metadata.get("labels") or {}), **job_labels(spec)}
    annotations = {
        **settings.annotations, **(metadata.get("annotations") or {}), **job_annotations(spec),
        RESULT: TERMINATION_MESSAGE,
    }  # fmt: skip
    made["metadata"] = {
        **metadata, "name": metadata.get("name") or spec.name, "namespace": settings.namespace, "labels": labels,
        "annotations": annotations,
    }  # fmt: skip
    if (path := TTL.get(kind.kind)) and at(made, path) is None:
        _put(made, path, int(settings.ttl.total_seconds()))
    for template in kind.pod_templates(made):
        _mark_pods(template, spec)
    return {"name": spec.name, "namespace": settings.namespace, "kind": kind.kind, "manifest": made, "objects": []}


_COUNTS: Final = ("parallelism", "replicas", "numNodes", "maxReplicas")
"""Keys beside or above a pod template that say how many pods of it run at once, as the kinds that we know say it."""
_ACCOUNTS: Final = ("serviceAccountName", "serviceAccount")


def asked_by(manifest: Mapping[str, Any]) -> Brought:
    """
    What the policy asks about: found by the names that Kubernetes and its operators give these things, wherever they
    stand, since a custom resource may hold its pods anywhere.
    """
    found = list(_leaves(manifest, 1))
    images = tuple(dict.fromkeys(value for key, value, _ in found if key == "image" and isinstance(value, str)))
    accounts = tuple(dict.fromkeys(value for key, value, _ in found if key in _ACCOUNTS and isinstance(value, str)))
    gpus = sum(_amount(value) * count for key, value, count in found if key.startswith("limits:") and "gpu" in key)
    pods = sum(count for key, _, count in found if key in ("containers", "numNodes"))
    return Brought(images, accounts or ("default",), gpus, max(1, pods))


def _leaves(value: Any, count: int) -> Iterator[tuple[str, Any, int]]:
    """Key, value and number of pods of everything in a manifest; what limits a container is marked as such."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item, count)
    elif isinstance(value, Mapping):
        here = [number for key in _COUNTS if isinstance(number := value.get(key), int)]
        count *= max(here, default=1)
        for key, item in value.items():
            yield key, item, count
            if key == "limits" and isinstance(item, Mapping):
                yield from ((f"limits:{name}", amount, count) for name, amount in item.items())
            else:
                yield from _leaves(item, count)


def _amount(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0  # the API server takes whole numbers only


def _mark_pods(template: Any, spec: JobSpec) -> None:
    """Labels for the NetworkPolicy and for bills, and an end to a pod whose Airflow is gone."""
    metadata = template["metadata"] = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **job_labels(spec)}
    if spec.native_limit_seconds is not None:
        template.setdefault("spec", {}).setdefault("activeDeadlineSeconds", spec.native_limit_seconds)


def _put(value: dict[str, Any], path: str, item: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        value = value.setdefault(name, {})
    value[last] = item
