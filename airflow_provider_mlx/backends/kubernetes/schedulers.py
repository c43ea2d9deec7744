"""
What tells a scheduler of a job: four schedulers, and for each the labels and annotations that its documentation names.

=========  ============================================  =================================================
scheduler  what it is                                    source
=========  ============================================  =================================================
default    the cluster's own                             kubernetes.io/docs
kai        schedules the pods                            KAI 0.17: ``docs/``, ``pkg/podgrouper/…/constants``
kueue      admits the job; the cluster's own schedules   Kueue 0.19: ``pkg/controller/constants``
volcano    schedules the pods                            Volcano 1.16: ``apis/scheduling/v1beta1/labels.go``
=========  ============================================  =================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.exceptions import Problem

from .settings import KubernetesSettings, Topology

KAI_QUEUE: Final = "kai.scheduler/queue"
KAI_PRIORITY: Final = "priorityClassName"
KAI_PREEMPTIBILITY: Final = "kai.scheduler/preemptibility"
KAI_MIN_MEMBER: Final = "kai.scheduler/batch-min-member"
KAI_TOPOLOGY: Final = "kai.scheduler/topology"

KUEUE_QUEUE: Final = "kueue.x-k8s.io/queue-name"
KUEUE_PRIORITY: Final = "kueue.x-k8s.io/priority-class"
KUEUE_TOPOLOGY: Final = "kueue.x-k8s.io/podset"

VOLCANO_QUEUE: Final = "scheduling.volcano.sh/queue-name"
VOLCANO_GROUP: Final = "scheduling.k8s.io/group-name"


@dataclass(frozen=True)
class Asked:
    """
    What a step and its target want of a scheduler.

    :param priority: the step's own.
    :param gang: pods of an Indexed Job that must start together; one, where a controller of its own sees to that.
    """

    job: str
    settings: KubernetesSettings
    priority: str = ""
    gang: int = 1


@dataclass(frozen=True)
class Marks:
    """What a scheduler reads from a job, from its pods, and from objects beside it."""

    job_labels: Mapping[str, str] = field(default_factory=dict)
    job_annotations: Mapping[str, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    pod_spec: Mapping[str, Any] = field(default_factory=dict)
    suspend: bool = False
    objects: tuple[Mapping[str, Any], ...] = ()


def default_marks(asked: Asked) -> Marks:
    """The cluster's own scheduler knows a PriorityClass, and no queue."""
    return Marks(pod_spec=_set({"priorityClassName": asked.priority or asked.settings.priority_class}))


def kai_marks(asked: Asked) -> Marks:
    """
    KAI reads labels from the job first and then from a pod; a job without a queue is in ``default-queue``.

    It makes the PodGroup itself and takes each pod of a Job alone, unless the Job says how many belong together
    (since 0.15). A PriorityClass from 100 on is not preemptible unless the label says so, and stays within the quota.
    """
    settings = asked.settings
    preemptibility = {None: "", True: "preemptible", False: "non-preemptible"}[settings.preemptible]
    labels = _set(
        {
            KAI_QUEUE: settings.queue,
            KAI_PRIORITY: asked.priority or settings.priority_class,
            KAI_PREEMPTIBILITY: preemptibility,
        }
    )
    annotations = _set(
        {
            KAI_TOPOLOGY: settings.topology.name,
            f"{KAI_TOPOLOGY}-required-placement": settings.topology.required,
            f"{KAI_TOPOLOGY}-preferred-placement": settings.topology.preferred,
            KAI_MIN_MEMBER: str(asked.gang) if asked.gang > 1 else "",
        }
    )
    return Marks(
        job_labels=labels, pod_labels=labels, job_annotations=annotations, pod_spec={"schedulerName": "kai-scheduler"}
    )


def kueue_marks(asked: Asked) -> Marks:
    """
    Kueue admits a suspended job by the label of its queue, all pods at once; the pods go to the cluster's scheduler.

    A step's priority is a WorkloadPriorityClass, which orders the queue; the target's ``priority_class`` is the pods'.
    The pods carry no queue label: Kueue would take them for jobs of their own.
    """
    settings = asked.settings
    return Marks(
        job_labels=_set({KUEUE_QUEUE: settings.queue, KUEUE_PRIORITY: asked.priority}),
        pod_annotations=_set(
            {
                f"{KUEUE_TOPOLOGY}-required-topology": settings.topology.required,
                f"{KUEUE_TOPOLOGY}-preferred-topology": settings.topology.preferred,
            }
        ),
        pod_spec=_set({"priorityClassName": settings.priority_class}),
        suspend=True,
    )


def volcano_marks(asked: Asked) -> Marks:
    """
    Volcano takes each pod of a Job alone unless it names a PodGroup; without a queue it is in ``default``.

    A PodGroup has its own queue and priority, and is not scheduled before ``minMember`` pods fit.
    """
    settings = asked.settings
    priority = _set({"priorityClassName": asked.priority or settings.priority_class})
    group = {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {"name": asked.job, "namespace": settings.namespace},
        "spec": {"minMember": asked.gang, **_set({"queue": settings.queue}), **priority},
    }
    in_gang = asked.gang > 1
    return Marks(
        pod_annotations=_set({VOLCANO_QUEUE: settings.queue, VOLCANO_GROUP: asked.job if in_gang else ""}),
        pod_spec={"schedulerName": "volcano", **priority},
        objects=(group,) if in_gang else (),
    )


MARKS: Final[Mapping[str, Callable[[Asked], Marks]]] = {
    "default": default_marks,
    "kai": kai_marks,
    "kueue": kueue_marks,
    "volcano": volcano_marks,
}

READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "queue": ("kai", "kueue", "volcano"),
    "preemptible": ("kai",),
    "gpu_memory": ("kai",),
    "topology": ("kai", "kueue"),
    "topology.name": ("kai",),  # Kueue takes the topology of the ResourceFlavor
}
"""Key of the target → the schedulers that read it. With any other it would have no effect, so it is refused."""

_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def scheduler_problems(settings: KubernetesSettings, priority: str = "") -> list[Problem]:
    """What this target's scheduler cannot honour."""
    return _unread(settings) + _incomplete(settings) + _unwritable(settings, priority)


def _unread(settings: KubernetesSettings) -> list[Problem]:
    asked = {
        "queue": settings.queue,
        "preemptible": settings.preemptible,
        "gpu_memory": settings.gpu_memory,
        "topology": settings.topology.required or settings.topology.preferred,
        "topology.name": settings.topology.name,
    }
    return [
        Problem(
            f"the scheduler `{settings.scheduler}` does not read it",
            f"leave it out, or set `scheduler:` to {' or '.join(READERS[key])}",
            field=f"{key}: {value}",
        )
        for key, value in asked.items()
        if value not in ("", None) and settings.scheduler not in READERS[key]
    ]


def _incomplete(settings: KubernetesSettings) -> list[Problem]:
    topology, problems = settings.topology, []
    levels = [level for level in (topology.required, topology.preferred) if level]
    if settings.scheduler == "kueue" and not settings.queue:
        problems.append(
            Problem(
                "Kueue admits a job only through a LocalQueue of its namespace",
                "set `queue:` to one (`kubectl get localqueue -n NAMESPACE`)",
                field="scheduler: kueue",
            )
        )
    if settings.scheduler == "kueue" and len(levels) > 1:
        problems.append(
            Problem("Kueue takes one level of topology", "keep `required` or `preferred`", field=_said(topology))
        )
    if settings.scheduler == "kai" and bool(levels) != bool(topology.name):
        missing = "`required` or `preferred`" if topology.name else "`name`"
        problems.append(
            Problem(
                f"KAI wants the Topology object and a level of it, and {missing} is missing",
                "set `name` and one of `required` and `preferred`, each level a label of the nodes",
                field=_said(topology),
            )
        )
    return problems


def _unwritable(settings: KubernetesSettings, priority: str) -> list[Problem]:
    """Names that a label cannot hold: at most 63 letters, digits, ``-``, ``_`` and ``.``."""
    written = {f"queue: {settings.queue}": settings.queue, f"priority={priority!r}": priority}
    return [
        Problem("no queue or priority class has this name", "write the name as the cluster lists it", field=said)
        for said, name in written.items()
        if name and not _LABEL.fullmatch(name)
    ]


def _said(topology: Topology) -> str:
    given = {key: value for key, value in topology.model_dump().items() if value}
    return "topology: {" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"


def _set(values: Mapping[str, str]) -> dict[str, str]:
    """Those that are not empty."""
    return {key: value for key, value in values.items() if value}
