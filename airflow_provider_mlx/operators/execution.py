"""One try of a step in a worker: from the operator's rendered fields to XCom, or to the triggerer and back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseHook

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.jobs.collection import Collected
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.jobs.ledger import AttemptRecord, Ledger
from airflow_provider_mlx.jobs.life import StepLife, Waiting
from airflow_provider_mlx.jobs.plan import Planner
from airflow_provider_mlx.lineage.provider import SPOOL_FOLDER, job_context, step_lineage
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.settings import read_settings
from airflow_provider_mlx.stacks import ResolvedStep, Stacks, StepChoice
from airflow_provider_mlx.stacks.browse import browse_url
from airflow_provider_mlx.step.credentials import requirement_problems
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.triggers.order import WatchEvent, Word
from airflow_provider_mlx.version_compat import bundle_root, has_mapped_dependants

from .arguments import plain_params, to_wire
from .deferral import leave, may_leave
from .events import fill_events, tell_outlets
from .masked import is_masked
from .payloads import requirement_lines
from .planning import StepPlans
from .results import push_results
from .surroundings import (
    facts_of,
    identity_of,
    options_for,
    ports_for,
    read_stacks,
    refuse_unknown_section,
    stack_choice,
)

if TYPE_CHECKING:
    from .job import MlxJobOperator
    from .step import MlxStepOperator


def begin_step(operator: MlxJobOperator, context: Mapping[str, Any], *, killed: threading.Event) -> Any:
    """
    Arrive at the step, and run it to its end or leave; what becomes ``return_value``.

    :param killed: set when Airflow wants the task to end.
    :raises TaskDeferred: the job goes on, and the trigger watches it.
    :raises MlxError: the step failed, was refused, timed out or was cancelled.
    """
    step = _Step(operator, context, killed)
    for reason in step.resolved.why:
        operator.log.info("mlx: %s", reason)
    artifacts = step.resolved.artifacts
    life = step.life(
        artifacts.root, artifacts.conn_id, leaves=may_leave(operator, step.settings), browse=artifacts.browse
    )
    return step.finish(life.run(), artifacts.root, artifacts.conn_id)


def resume_step(
    operator: MlxJobOperator,
    context: Mapping[str, Any],
    *,
    killed: threading.Event,
    event: Any,
) -> Any:
    """
    Go on where the step left its slot, as :func:`begin_step` does.

    Stacks and code are read only if a further attempt is due: they may have changed, and finished work is collected.

    :param event: the trigger's.
    """
    step, fired = _Step(operator, context, killed), WatchEvent.from_wire(event)
    place = fired.place
    if place is None:  # a trigger that could not read its own order: arrive as a worker always does
        return begin_step(operator, context, killed=killed)
    leaves = may_leave(operator, step.settings) and fired.word is not Word.CANNOT_WATCH
    life = step.life(place.root, place.conn_id, leaves=leaves)
    outcome = life.resume(place.attempt, shown_lines=fired.shown_lines)
    return step.finish(outcome, place.root, place.conn_id)


class _Step:
    """One try of one operator, with what is read when it is needed."""

    def __init__(self, operator: MlxJobOperator, context: Mapping[str, Any], killed: threading.Event) -> None:
        self._operator, self._context, self._killed = operator, context, killed
        self._ti = context["ti"]
        self.settings = read_settings()
        self._bundle_root = bundle_root(self._ti)
        self._identity, self._facts = identity_of(self._ti, self.settings), facts_of(context)

    @cached_property
    def stacks(self) -> Stacks:
        return read_stacks(self.settings, dag_file=self._context["dag"].fileloc, root=self._bundle_root)

    @cached_property
    def resolved(self) -> ResolvedStep:
        """Where the step runs, and why."""
        operator, context = self._operator, self._context
        name, why = stack_choice(
            self.stacks, self.settings, step=operator.stack or None, declared=dict(context["dag"].params),
            params=plain_params(context["params"]),
        )  # fmt: skip
        return operator.resolve_on(self.stacks, name, self._ti, why=why)

    def life(self, root: str, conn_id: str | None, *, leaves: bool, browse: str | None = None) -> StepLife:
        """
        The life of the step's jobs.

        :param root: of the ledger; ``conn_id`` opens it.
        :param browse: how the store's console names a folder; not said again after a deferral.
        """
        store = open_store(root, conn_id)
        ports = ports_for(
            self._context, log=self._operator.log, killed=self._killed,
            folder_url=lambda attempt: browse_url(browse, join(root, self._identity.attempt_folder(attempt))),
        )  # fmt: skip
        spool = self.settings.local_root / SPOOL_FOLDER
        lineage = step_lineage(
            self._operator, self._context, identity=self._identity, store=store, root=root, spool=spool
        )
        if lineage is not None:
            ports = replace(ports, tell_started=lineage.started, tell_ended=lineage.ended)
        of_step = self._operator.preemptions
        return StepLife(
            ledger=Ledger(store, root, self._identity),
            facts=self._facts,
            plans=StepPlans(
                outline=lambda: self._outline(store),
                definition=lambda: self._operator.definition(self._context, self._bundle_root),
                inputs=lambda definition: self._inputs(definition, store),
                log=self._operator.log,
            ),
            connect=lambda record: connect(record, store),
            ports=ports,
            preemptions=lambda: (self.resolved.targets[0].preemptions or 0) if of_step is None else of_step,
            may_leave=leaves,
        )

    def finish(self, outcome: Collected | Waiting, root: str, conn_id: str | None) -> Any:
        """XCom, or away."""
        if isinstance(outcome, Waiting):
            raise leave(outcome, root=root, identity=self._identity, artifacts_conn_id=conn_id)
        if outcome.skipped is not None:
            raise AirflowSkipException(outcome.skipped)
        operator = self._operator
        operator.collected = outcome  # for the lineage of this process's own task event
        if operator.outlets:
            tell_outlets(operator.outlets, outcome, self._context["outlet_events"])
        return push_results(
            outcome, self._ti, mapped_over=has_mapped_dependants(operator),
            multiple_outputs=bool(operator.multiple_outputs),
        )  # fmt: skip

    def _outline(self, store: ObjectStore) -> Planner:
        operator = self._operator
        return Planner(
            definition=operator.outline(), identity=self._identity, resolved=self.resolved, store=store,
            try_number=self._facts.try_number,
            options=options_for(self._context, self.settings, self.stacks), read_connection=BaseHook.get_connection,
            openlineage=lambda attempt, payload: job_context(
                operator, self._context, self._identity, payload, attempt=attempt
            ),
        )  # fmt: skip

    def _inputs(self, definition: StepDefinition, store: ObjectStore) -> tuple[ArtifactReference, ...]:
        artifacts = self.resolved.artifacts
        gate = Gate((artifacts.root, *artifacts.allowed))
        return check_inputs(definition.arguments, store=store, gate=gate, root=artifacts.root)


def choice_of(operator: MlxStepOperator, ti: Any) -> StepChoice:
    """What the step's code says about where it runs."""
    refuse_unknown_section(operator.overrides)
    return StepChoice(
        dag_id=ti.dag_id, task_id=ti.task_id, target=operator.target or None, image=operator.image or None,
        wheelhouse=operator.wheelhouse or None,
        env=operator.env, resources=Resources.from_wire(operator.step_resources).to_wire(), sections=operator.overrides,
    )  # fmt: skip


def definition_of(operator: MlxStepOperator, context: Mapping[str, Any], root: str | None) -> StepDefinition:
    """
    Everything of the step that does not depend on the stack.

    :param root: the DAG bundle's folder.
    :raises InvalidStep: the code or an argument cannot travel.
    """
    dag_file = context["dag"].fileloc
    requirements = requirement_lines(operator.requirements, dag_file=dag_file, root=root)
    refuse_kept_secrets(operator, requirements)
    payload = operator.shipped_payload(dag_file=dag_file, root=root)
    args, kwargs = (fill_events(given, context) for given in operator.call_arguments(context))
    return StepDefinition(
        payload=payload.payload, source=payload.source, files=payload.files, command=payload.command,
        arguments=to_wire(args, kwargs, masked=is_masked), requirements=requirements,
        replace=tuple(operator.replace), secrets=operator.secrets, multiple_outputs=bool(operator.multiple_outputs),
        return_types=payload.return_types, origin=payload.origin, warnings=payload.warnings,
    )  # fmt: skip


KEPT = (
    "requirements",
    "wheelhouse",
    "env",
    "argv",
    "command",
    "image",
    "overrides",
    "entrypoint",
    "script",
    "step_resources",
)
"""Fields that are written to the ledger and to the job's request, as rendered."""


def refuse_kept_secrets(operator: MlxStepOperator, requirements: Sequence[str]) -> None:
    """
    Refuse a secret where it would be kept.

    :param requirements: as they are kept: the operator may only name their file.
    :raises InvalidStep: a field holds a value that Airflow masks, or a requirement a login.
    """
    problems = [
        Problem(
            "its value is a secret that Airflow masks, and it is written to the artifact root and to the job's request",
            'name it under `secrets={"ENV_NAME": "logical-name"}` and map the name in the stack',
            field=name,
        )
        for name in KEPT
        if is_masked(requirements if name == "requirements" else getattr(operator, name, None))
    ]
    problems += requirement_problems(requirements)
    if problems:
        raise InvalidStep("the step holds secrets that would be kept", problems)


def connect(record: AttemptRecord, store: ObjectStore) -> Backend:
    """The backend that a ledger's record names, with the settings of that time."""
    kind = backend_class(record.backend)
    return kind.from_recorded(record.settings, record.conn_id, store, read_connection=BaseHook.get_connection)
