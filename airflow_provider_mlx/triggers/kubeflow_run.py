"""``RunTrigger``: waits for a run of Kubeflow Pipelines that somebody else has made. It has no job to stop."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_mlx.backends.base import State

from .kubernetes_object import ObjectTrigger


class RunTrigger(ObjectTrigger):
    """Watches one run, which is there when it begins: one that is gone is the end of waiting, too."""

    ends: ClassVar[frozenset[State]] = ObjectTrigger.ends | {State.ABSENT}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return f"{__name__}.{type(self).__name__}", super().serialize()[1]
