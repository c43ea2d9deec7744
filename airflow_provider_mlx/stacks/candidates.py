"""A target of a stack file, with the settings of its backend, from nodes to values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.explanations import apply_model, field_names
from airflow_provider_mlx.stacks.model import TargetModel, TaskModel
from airflow_provider_mlx.stacks.parsing import Entry, MappingNode, Node, SequenceNode, plain
from airflow_provider_mlx.stacks.places import Place, listed, nearest, problem_at
from airflow_provider_mlx.stacks.stack import Target, TaskOverride

BackendSettings = Mapping[str, type[BaseModel]]

# The backends that we ship and that need an extra → the extra's name in pyproject.toml
EXTRAS: Final[Mapping[str, str]] = {
    "kubernetes": "kubernetes",
    "trainer": "kubernetes",
    "sagemaker": "sagemaker",
    "kubeflow_pipelines": "kubeflow",
}
_COMMON: Final = field_names(TargetModel)
_OF_A_TASK: Final = field_names(TaskModel)


class TargetReader:
    """
    Reads targets and overrides, and collects what is wrong with them.

    :param backends: the settings of each installed backend.
    """

    def __init__(self, backends: BackendSettings) -> None:
        self.backends = backends
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []

    def candidates(self, name: str, entry: Entry) -> tuple[Target, ...]:
        """The candidates of one logical target, in the order of its list."""
        node = entry.node
        if not isinstance(node, SequenceNode):
            target = self._target(name, node, entry.place)
            return (target,) if target else ()
        if not node.items:
            self._refuse(entry.place, f"target `{name}` is an empty list", "name at least one backend")
        found: list[Target] = []
        for item in node.items:
            target = self._target(name, item, item.place)
            if target and target.max_runtime is None:
                what = f"candidate {len(found) + 1} of target `{name}` lacks `max_runtime`"
                self._miss(item.place, what, "add `max_runtime:`: without it a job never gives way to the next")
            if target:
                found.append(target)
        return tuple(found)

    def override(self, pattern: str, entry: Entry) -> TaskOverride | None:
        """What a stack says about some tasks."""
        node, subject = entry.node, f"the override `{pattern}`"
        if not isinstance(node, MappingNode):
            self._refuse(entry.place, f"{subject} is not a mapping", "write a mapping: {target: gpu}")
            return None
        common, sections = _split(node, (*self.backends, *EXTRAS), inside=True)
        model, wrong, _ = apply_model(TaskModel, common, entry.place, subject, tuple(self.backends))
        self.problems.extend(wrong)
        for backend, section in sections.entries.items():
            self._section(backend, section, subject)
        if model is None:
            return None
        values = _given(model)
        target = values.pop("target", None)
        return TaskOverride(
            pattern=pattern,
            where=str(entry.place),
            target=target,
            fields=values,
            sections={backend: plain(section.node) for backend, section in sections.entries.items()},
        )

    def _section(self, backend: str, section: Entry, subject: str) -> None:
        if not isinstance(section.node, MappingNode):
            self._refuse(section.place, f"`{backend}` of {subject} is not a mapping", "write {key: value}")
        elif backend in self.backends:  # else: judged where the backend is installed
            # a part of the settings: what is missing here is said by the target
            name = f"`{backend}` of {subject}"
            _, wrong, _ = apply_model(self.backends[backend], section.node, section.place, name)
            self.problems.extend(wrong)

    def _target(self, name: str, node: Node, place: Place) -> Target | None:
        if not isinstance(node, MappingNode):
            self._refuse(node.place, f"target `{name}` is not a mapping", "write {backend: local}")
            return None
        written = node.entries.get("backend")
        backend = plain(written.node) if written else None
        subject = f"a {backend} target" if isinstance(backend, str) else f"target `{name}`"
        refusal, settings_model = self._backend(backend, written)
        common, own = _split(node, _COMMON)
        valid = field_names(settings_model) if settings_model else ()
        model, wrong, missing = apply_model(TargetModel, common, place, subject, valid)
        self.problems.extend(wrong)
        self.missing.extend(missing)
        settings = None
        if settings_model is not None:
            settings, wrong, missing = apply_model(settings_model, own, place, subject, _COMMON)
            self.problems.extend(wrong)
            self.missing.extend(missing)
        if model is None or (settings is None and refusal is None):
            return None
        where = str(written.place) if written else str(place)
        return Target(name=name, where=where, settings=settings, given=plain(own), refusal=refusal, **_given(model))

    def _backend(self, backend: Any, written: Entry | None) -> tuple[Problem | None, type[BaseModel] | None]:
        if written is None or not isinstance(backend, str):
            return None, None  # the model of a target says so
        if backend in self.backends:
            return None, self.backends[backend]
        known = listed(sorted(self.backends))
        if backend in EXTRAS:
            what = f"the backend `{backend}` is not installed; there are: {known}"
            remedy = f"pip install 'airflow-provider-mlx[{EXTRAS[backend]}]'"
            return problem_at(written.node.place, what, remedy), None
        names = {*self.backends, *EXTRAS}
        self._refuse(written.node.place, f"unknown backend `{backend}`; there are: {known}", nearest(backend, names))
        return None, None

    def _refuse(self, place: Place, what: str, remedy: str) -> None:
        self.problems.append(problem_at(place, what, remedy))

    def _miss(self, place: Place, what: str, remedy: str) -> None:
        self.missing.append(problem_at(place, what, remedy))


def _split(node: MappingNode, names: tuple[str, ...], *, inside: bool = False) -> tuple[MappingNode, MappingNode]:
    """A mapping in two: the entries that are among some names and the others; the other way round if ``inside``."""
    first = {key: entry for key, entry in node.entries.items() if (key in names) is not inside}
    second = {key: entry for key, entry in node.entries.items() if key not in first}
    return MappingNode(node.place, first), MappingNode(node.place, second)


def _given(model: BaseModel) -> dict[str, Any]:
    """The fields that a file sets, at every level."""
    return model.model_dump(exclude_unset=True)
