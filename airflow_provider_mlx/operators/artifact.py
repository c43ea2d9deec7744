"""``Artifact``: what a step returned, or will be given, in the hands of a plain Airflow task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlx.artifacts.artifact import StoredArtifact, read_reference


class Artifact(StoredArtifact):
    """
    An artifact: read what a step returned, save what a step shall be given.

    ::

        @task
        def double(table):
            frame = Artifact.of(table).load()
            return Artifact.save(frame * 2)
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

        access = artifact_access(stack)
        return cls(reference, access.store, access.gate)

    @staticmethod
    def save(value: Any, name: str = "return_value", *, stack: str | None = None) -> dict[str, Any]:
        """
        Write a value of this task into the artifact root.

        :param value: data of a type that has a codec; its packages must be installed beside Airflow.
        :param name: of its own for each value that one try of a task saves.
        :returns: the reference as plain JSON: return it, or put it into what the task returns.
        :raises ArtifactError: the value cannot be saved, or this runs outside a task.
        """
        from airflow_provider_mlx.artifacts.saving import save_value

        from .surroundings import artifact_access, place_to_save  # heavy: not while a DAG is parsed

        access = artifact_access(stack)
        folder, producer = place_to_save(access.root, name)
        wire: dict[str, Any] = save_value(value, name, store=access.store, folder=folder, producer=producer).to_wire()
        return wire
