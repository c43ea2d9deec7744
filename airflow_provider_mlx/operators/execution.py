"""One try of a step in a worker: from the operator's rendered fields to XCom."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, redact

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.jobs.ledger import AttemptRecord, Ledger
from airflow_provider_mlx.jobs.life import StepLife
from airflow_provider_mlx.jobs.plan import Planner
from airflow_provider_mlx.settings import read_settings
from airflow_provider_mlx.stacks import StepChoice, resolve_target
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.version_compat import bundle_root, has_mapped_dependants

from .arguments import plain_params, to_wire
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
    from .step import MlxStepOperator


def run_step(operator: MlxStepOperator, context: Mapping[str, Any], *, killed: threading.Event) -> Any:
    """
    Run the step to its end; what becomes ``return_value``.

    :param killed: set when Airflow wants the task to end.
    :raises MlxError: the step failed, was refused, timed out or was cancelled.
    """
    ti, settings, dag = context["ti"], read_settings(), context["dag"]
    root = bundle_root(ti)
    stacks = read_stacks(settings, dag_file=dag.fileloc, root=root)
    name, why = stack_choice(
        stacks, settings, step=operator.stack or None, declared=dict(dag.params), params=plain_params(context["params"])
    )
    resolved = resolve_target(stacks, name, choice_of(operator, ti), why=why)
    for reason in resolved.why:
        operator.log.info("mlx: %s", reason)
    definition = definition_of(operator, context, root)
    store = open_store(resolved.artifacts.root, resolved.artifacts.conn_id)
    gate = Gate((resolved.artifacts.root, *resolved.artifacts.allowed))
    identity, facts = identity_of(ti, settings), facts_of(context)
    planner = Planner(
        definition=definition, identity=identity, resolved=resolved, store=store,
        options=options_for(context, settings, stacks), try_number=facts.try_number,
        inputs=check_inputs(definition.arguments, store=store, gate=gate, root=resolved.artifacts.root),
    )  # fmt: skip
    planner.check()
    for warning in planner.plan(1).warnings:
        operator.log.warning("mlx: %s", warning)
    of_target = resolved.targets[0].preemptions or 0
    life = StepLife(
        ledger=Ledger(store, resolved.artifacts.root, identity),
        facts=facts,
        plan=planner.plan,
        connect=lambda record: connect(record, store),
        ports=ports_for(context, log=operator.log, killed=killed),
        targets=len(resolved.targets),
        preemptions=of_target if operator.preemptions is None else operator.preemptions,
    )
    collected = life.run()
    if collected.skipped is not None:
        raise AirflowSkipException(collected.skipped)
    return push_results(
        collected, ti, mapped_over=has_mapped_dependants(operator), multiple_outputs=bool(operator.multiple_outputs)
    )


def choice_of(operator: MlxStepOperator, ti: Any) -> StepChoice:
    """What the step's code says about where it runs."""
    refuse_unknown_section(operator.overrides)
    return StepChoice(
        dag_id=ti.dag_id, task_id=ti.task_id, target=operator.target or None, image=operator.image or None,
        env=operator.env, resources=Resources.from_wire(operator.step_resources).to_wire(), sections=operator.overrides,
    )  # fmt: skip


def definition_of(operator: MlxStepOperator, context: Mapping[str, Any], root: str | None) -> StepDefinition:
    """
    Everything of the step that does not depend on the stack.

    :param root: the DAG bundle's folder.
    :raises InvalidStep: the code or an argument cannot travel.
    """
    payload = operator.shipped_payload(dag_file=context["dag"].fileloc, root=root)
    args, kwargs = operator.call_arguments(context)
    return StepDefinition(
        payload=payload.payload, source=payload.source, files=payload.files, command=payload.command,
        arguments=to_wire(args, kwargs, masked=is_masked), requirements=tuple(operator.requirements),
        replace=tuple(operator.replace), secrets=operator.secrets, multiple_outputs=bool(operator.multiple_outputs),
        return_type=payload.return_type, origin=payload.origin, warnings=payload.warnings,
    )  # fmt: skip


def connect(record: AttemptRecord, store: ObjectStore) -> Backend:
    """The backend that a ledger's record names, with the settings of that time."""
    kind = backend_class(record.backend)
    return kind(kind.settings_model.model_validate(record.settings), record.conn_id, store)


def is_masked(value: Any) -> bool:
    """Whether Airflow would mask something in this value: it knows it as a secret, wherever it stands in a text."""
    if isinstance(value, str):
        return bool(redact(value) != value)
    if isinstance(value, Mapping):
        return any(is_masked(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(is_masked(item) for item in value)
