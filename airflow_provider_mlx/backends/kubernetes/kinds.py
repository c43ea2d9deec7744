"""
The kinds of objects that run jobs, a row for each: what ends them, where their pods are, how they are suspended.

Sources: ``k8s.io/api/batch/v1`` 1.37; JobSet 0.12 ``jobset.x-k8s.io/v1alpha2``; Trainer 2.3
``trainer.kubeflow.org/v1alpha1``; training-operator 1.9 ``kubeflow.org/v1`` (``common_types.go`` has its labels).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.backends.base import State

from .reading import annotation, at, condition, each, label, maps, text

COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Of the pods of an Indexed Job: a label since 1.28, an annotation always."""


@dataclass(frozen=True)
class Sign:
    """
    Something that an object may say of itself.

    :param condition: a type in ``status.conditions``, whose status is one of ``words``; empty for a field.
    :param path: a dotted path in the object, ``*`` for every element, whose value is one of ``words``.
    """

    words: tuple[str, ...]
    condition: str = ""
    path: str = ""

    def holds(self, value: object) -> bool:
        """Whether the object says so."""
        if self.condition:
            return condition(value, self.condition).get("status") in self.words
        return any(_word(found) in self.words for found in each(value, self.path))

    def said(self, value: object) -> tuple[str, str]:
        """The reason and the message that stand with it."""
        if not self.condition:
            return "", ""
        found = condition(value, self.condition)
        return text(found, "reason"), text(found, "message")


_CONDITION: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9./_-]*)\s*=\s*(True|False|Unknown)\s*")
_FIELD: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_*-]*(?:\.[A-Za-z0-9_*-]+)+)\s*==\s*(\S.*?)\s*")


def parse_sign(said: str) -> Sign:
    """
    Read ``Complete=True`` (a condition), or ``status.jobStatus == FAILED | STOPPED`` (a field, and its words).

    :raises ValueError: it is neither.
    """
    if match := _CONDITION.fullmatch(said):
        return Sign(condition=match[1], words=(match[2],))
    if match := _FIELD.fullmatch(said):
        return Sign(path=match[1], words=tuple(word.strip() for word in match[2].split("|")))
    raise ValueError(
        f"{said!r} says nothing about an object; write a condition, as `Complete=True`, "
        "or a field and its values, as `status.jobStatus == FAILED | STOPPED`"
    )


def signs(*said: str) -> tuple[Sign, ...]:
    """Several of :func:`parse_sign`."""
    return tuple(parse_sign(one) for one in said)


@dataclass(frozen=True)
class JobKind:
    """
    One kind of object that runs pods to their end.

    :param succeeded: any of these ends it well; likewise ``failed``. Nothing else ends it.
    :param suspended: it runs nothing and waits for whoever suspended it.
    :param running: it says itself that its pods run.
    :param counts: path of what counts its pods (``ready``, ``active``, ``terminating``), for a look without the pods.
    :param message: path of its words for people, where no condition has them.
    :param pods_label: label of its pods whose value is its name.
    :param role_label: label of its pods that tells what they are for.
    :param roles: the roles that run the user's code, that of rank 0 first; empty if all do.
    :param index_labels: labels that number the pods of a role.
    :param main_containers: names of the container that runs the user's code; else the pod says, or it is the first.
    :param templates: path of its pod templates.
    :param suspend: path of the field that suspends it; empty if nothing does.
    :param makes_jobs: its pods belong to Jobs that it makes, and that have events of their own.
    """

    api_version: str
    kind: str
    plural: str
    succeeded: tuple[Sign, ...]
    failed: tuple[Sign, ...]
    suspended: tuple[Sign, ...] = ()
    running: tuple[Sign, ...] = ()
    counts: str = ""
    message: str = ""
    pods_label: str = ""
    role_label: str = ""
    roles: tuple[str, ...] = ()
    index_labels: tuple[str, ...] = ()
    main_containers: tuple[str, ...] = ()
    templates: str = ""
    suspend: str = ""
    makes_jobs: bool = False

    def ending(self, value: object) -> tuple[State, Sign] | None:
        """How the object says that it ended, by which sign; ``None`` while it says nothing of the kind."""
        for state, ends in ((State.SUCCEEDED, self.succeeded), (State.FAILED, self.failed)):
            if found := _first(ends, value):
                return state, found
        return None

    def is_suspended(self, value: object) -> bool:
        """Whether it is to run nothing: by its own field, or in its controller's words."""
        return (bool(self.suspend) and at(value, self.suspend) is True) or _first(self.suspended, value) is not None

    def suspension(self, suspended: object) -> dict[str, Any]:
        """The part of an object that suspends it, as a merge patch holds it; empty if nothing does."""
        if not self.suspend:
            return {}
        part: Any = suspended
        for field in reversed(self.suspend.split(".")):
            part = {field: part}
        return dict(part)

    def counted(self, value: object, what: str) -> int:
        """How many pods, or Jobs of its own, the object counts as ``ready``, ``active`` or ``terminating``."""
        found = each(value, f"{self.counts}.{what}") if self.counts else []
        return sum(count for count in found if isinstance(count, int) and count > 0)

    def pod_templates(self, value: object) -> list[Mapping[str, Any]]:
        """The pod templates that stand in the object."""
        found = each(value, self.templates) if self.templates else []
        return [template for template in found if isinstance(template, Mapping)]


_V1: Final[Mapping[str, Any]] = {
    "api_version": "kubeflow.org/v1",
    # Created and Restarting tell nothing that the pods do not
    "succeeded": signs("Succeeded=True"),
    "failed": signs("Failed=True"),
    "suspended": signs("Suspended=True"),
    "running": signs("Running=True"),
    "counts": "status.replicaStatuses.*",
    "pods_label": "training.kubeflow.org/job-name",
    "role_label": "training.kubeflow.org/replica-type",
    "index_labels": ("training.kubeflow.org/replica-index",),
    "suspend": "spec.runPolicy.suspend",
}
"""What the three kinds of the training operator have in common; ``cleanPodPolicy`` may remove their pods."""

_IN_JOBSET: Final[Mapping[str, Any]] = {
    "suspended": signs("Suspended=True"),
    "pods_label": "jobset.sigs.k8s.io/jobset-name",
    "role_label": "jobset.sigs.k8s.io/replicatedjob-name",
    "suspend": "spec.suspend",
    "makes_jobs": True,
}

KINDS: Final[Mapping[str, JobKind]] = {
    "Job": JobKind(
        api_version="batch/v1",
        kind="Job",
        plural="jobs",
        succeeded=signs("Complete=True"),  # SuccessCriteriaMet comes before it, while pods still end
        failed=signs("Failed=True"),  # FailureTarget likewise
        suspended=signs("Suspended=True"),
        counts="status",
        pods_label="batch.kubernetes.io/job-name",
        index_labels=(COMPLETION_INDEX,),
        templates="spec.template",
        suspend="spec.suspend",
    ),
    "JobSet": JobKind(
        api_version="jobset.x-k8s.io/v1alpha2",
        kind="JobSet",
        plural="jobsets",
        succeeded=signs("Completed=True"),
        failed=signs("Failed=True"),
        counts="status.replicatedJobsStatus.*",
        index_labels=("jobset.sigs.k8s.io/job-index", COMPLETION_INDEX),
        templates="spec.replicatedJobs.*.template.spec.template",
        **_IN_JOBSET,
    ),
    "TrainJob": JobKind(
        api_version="trainer.kubeflow.org/v1alpha1",
        kind="TrainJob",
        plural="trainjobs",
        succeeded=signs("Complete=True"),
        failed=signs("Failed=True"),
        counts="status.jobsStatus.*",
        roles=("launcher", "node"),  # beside them dataset-initializer and model-initializer
        index_labels=(COMPLETION_INDEX,),
        main_containers=("node", "launcher"),
        **_IN_JOBSET,
    ),
    "PyTorchJob": JobKind(
        kind="PyTorchJob",
        plural="pytorchjobs",
        roles=("master", "worker"),
        main_containers=("pytorch",),
        templates="spec.pytorchReplicaSpecs.*.template",
        **_V1,
    ),
    "TFJob": JobKind(
        kind="TFJob",
        plural="tfjobs",
        roles=("chief", "master", "worker", "ps", "evaluator"),
        main_containers=("tensorflow",),
        templates="spec.tfReplicaSpecs.*.template",
        **_V1,
    ),
    "MPIJob": JobKind(
        kind="MPIJob",
        plural="mpijobs",
        roles=("launcher", "worker"),
        main_containers=("mpi",),
        templates="spec.mpiReplicaSpecs.*.template",
        **_V1,
    ),
}


def custom_kind(
    api_version: str, kind: str, plural: str = "", *, succeeded: Sequence[str], failed: Sequence[str],
    running: Sequence[str] = (), suspended: Sequence[str] = (), message: str = "", pods_label: str = "",
    main_container: str = "", templates: str = "", suspend: str = "",
) -> JobKind:  # fmt: skip
    """
    Any other custom resource, as its documentation describes it.

    :param plural: as in its URL; left out, the kind in lower case with an s.
    :param succeeded: texts for :func:`parse_sign`, as are ``failed``, ``running`` and ``suspended``.
    :param pods_label: label of its pods whose value is its name; without it only the object itself is looked at.
    :raises ValueError: a text cannot be read, or there is none for an ending.
    """
    if not succeeded or not failed:
        raise ValueError(f"say by what a {kind} succeeds and by what it fails, each in one text or more")
    return JobKind(
        api_version=api_version, kind=kind, plural=plural or f"{kind.lower()}s", succeeded=signs(*succeeded),
        failed=signs(*failed), running=signs(*running), suspended=signs(*suspended), message=message,
        pods_label=pods_label, main_containers=(main_container,) if main_container else (), templates=templates,
        suspend=suspend,
    )  # fmt: skip


@dataclass(frozen=True, order=True)
class Rank:
    """Which pod of a job one is; they sort as ranks do, that of rank 0 first."""

    place: int
    role: str = ""
    index: tuple[int, ...] = ()
    runs_user_code: bool = True

    def __str__(self) -> str:
        number = "/".join(str(part) for part in self.index)
        return f"{self.role or 'rank'} {number}" if number else self.role


def rank_of(kind: JobKind, pod: Mapping[str, Any]) -> Rank:
    """Which pod of its job this is; pods without numbers are all alike."""
    role = label(pod, kind.role_label) if kind.role_label else ""
    numbers = (label(pod, key) or annotation(pod, key) for key in kind.index_labels)
    index = tuple(int(one) for one in numbers if re.fullmatch(r"[0-9]{1,9}", one, re.ASCII))
    known = role in kind.roles
    place = kind.roles.index(role) if known else len(kind.roles)
    return Rank(place, role, index, runs_user_code=known or not kind.roles)


DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""Annotation of a pod: the container that people mean."""


def main_container(kind: JobKind, pod: Mapping[str, Any]) -> str:
    """Name of the container that runs the user's code; empty for a pod without containers."""
    there = [text(one, "name") for one in maps(pod, "spec.containers") or maps(pod, "status.containerStatuses")]
    wanted = [*kind.main_containers, annotation(pod, DEFAULT_CONTAINER)]
    return next((name for name in wanted if name and name in there), there[0] if there else "")


def _first(candidates: Iterable[Sign], value: object) -> Sign | None:
    return next((sign for sign in candidates if sign.holds(value)), None)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
