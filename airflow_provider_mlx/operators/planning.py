"""Plans of one try, made when the first is needed: a worker that adopts or collects needs none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from airflow_provider_mlx.jobs.ledger import AttemptRecord
from airflow_provider_mlx.jobs.plan import Planner
from airflow_provider_mlx.jobs.submission import Plan
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.step.definition import StepDefinition


class StepPlans:
    """
    The plans of one step.

    :param outline: a planner of the step without its code and arguments; reads the stacks.
    :param definition: slices the code and renders the arguments.
    :param inputs: checks the artifacts that the definition refers to.
    """

    def __init__(
        self,
        *,
        outline: Callable[[], Planner],
        definition: Callable[[], StepDefinition],
        inputs: Callable[[StepDefinition], tuple[ArtifactReference, ...]],
        log: Any,
    ) -> None:
        self._make_outline = outline
        self._definition = definition
        self._inputs = inputs
        self._log = log

    def first(self, *, checkpoints_since: int) -> Plan:
        """Plan every candidate, and say what will have no effect."""
        definition = self._definition()
        planner = replace(
            self._outline, definition=definition, inputs=self._inputs(definition), checkpoints_since=checkpoints_since
        )
        planner.check()
        for warning in planner.plan(1).warnings:
            self._log.warning("mlx: %s", warning)
        return planner.plan

    def again(self, record: AttemptRecord, context: bytes) -> Plan:
        """Plans from what an attempt before recorded."""
        return self._outline.recorded(record, context).plan

    def targets(self) -> int:
        """How many targets the fallback list has."""
        return len(self._outline.resolved.targets)

    @cached_property
    def _outline(self) -> Planner:
        return self._make_outline()
