"""
The operator under test is a parameter of the table.

A subject says which DAG file is copied for a case and how its task is written there; a peer's operator is a row here
and a file in ``dags/`` whose step records itself as ours does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LOCAL, REMOTE, KUBERNETES, SAGEMAKER, KUBEFLOW = "local", "remote", "kubernetes", "sagemaker", "kubeflow"


@dataclass(frozen=True)
class Subject:
    """
    One operator in one mode.

    :param where: which system runs its jobs.
    :param task: the operator's arguments.
    :param template: the DAG file in ``dags/``.
    """

    name: str
    where: str
    deferred: bool = False
    task: Mapping[str, Any] = field(default_factory=dict)
    template: str = "mlx.py"

    @property
    def mode(self) -> str:
        """How a row names it."""
        return "deferred" if self.deferred else "sync"


SUBJECTS: Final = {
    subject.name: subject
    for subject in (
        Subject("mlx-local", LOCAL, task={"target": "local"}),
        Subject("mlx-remote-sync", REMOTE, task={"target": "remote", "deferrable": False}),
        Subject("mlx-remote-deferred", REMOTE, deferred=True, task={"target": "remote", "deferrable": True}),
        Subject("mlx-kubernetes-sync", KUBERNETES, task={"target": "kubernetes", "deferrable": False}),
        Subject(
            "mlx-kubernetes-deferred", KUBERNETES, deferred=True, task={"target": "kubernetes", "deferrable": True}
        ),
        *(
            Subject(
                f"mlx-{kind}-{'deferred' if deferred else 'sync'}",
                SAGEMAKER,
                deferred=deferred,
                task={"stack": "sagemaker", "target": kind, "deferrable": deferred},
            )
            for kind in ("training", "processing")
            for deferred in (False, True)
        ),
        Subject("mlx-kubeflow-sync", KUBEFLOW, task={"target": "kubeflow", "deferrable": False}),
        Subject("mlx-kubeflow-deferred", KUBEFLOW, deferred=True, task={"target": "kubeflow", "deferrable": True}),
    )
}

BOUNDED: Final = "-bounded"
"""Behind a target's name: the same target with a short ``max_runtime``."""

BOUNDED_SECONDS: Final = 8
