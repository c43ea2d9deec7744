"""``Artifact``: what a step returned, in the hands of a plain Airflow task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlx.artifacts.artifact import StoredArtifact, read_reference


class Artifact(StoredArtifact):
    """
    An artifact that a step returned.

    ::

        @task
        def report(table):
            frame = Artifact.of(table).load()
    """

    @classmethod
    def of(cls, value: Mapping[str, Any], *, stack: str | None = None) -> Artifact:
        """
        The artifact that an XCom value refers to.

        :param value: what a step pushed: the reference itself, or one of the entries of ``mlx_artifacts``.
        :param stack: the stack whose root and credentials are used; by default the one that this run uses.
        :raises ArtifactError: the value is no reference, or lies where this stack does not allow reading.
        """
        reference = read_reference(value)
        from .surroundings import artifact_access  # heavy: not while a DAG is parsed

        store, gate = artifact_access(stack)
        return cls(reference, store, gate)
