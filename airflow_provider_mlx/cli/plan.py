"""``plan``: prints exactly what would be submitted for a step and why each choice was made; opens no connection."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.jobs.plan import PlannedAttempt, Planner
from airflow_provider_mlx.operators.job import MlxJobOperator
from airflow_provider_mlx.operators.step import MlxStepOperator
from airflow_provider_mlx.operators.surroundings import identity_of, options_for, read_stacks, stack_choice
from airflow_provider_mlx.settings import read_settings
from airflow_provider_mlx.stacks import ResolvedStep
from airflow_provider_mlx.version_compat import find_dag

from .places import root_of

UNKNOWN = "known when the run starts"
"""Stands for results of earlier steps, which a plan does not have."""


LOCAL_NOTE = "note: local jobs run under `airflow dags test` here; for the scheduler set AIRFLOW__MLX__ALLOW_LOCAL=true"


def run_plan(arguments: argparse.Namespace) -> str:
    """Print what would be submitted for a step, and why each choice was made. Opens no connection, submits nothing."""
    dag, task = find_task(arguments.dag_id, arguments.task_id)
    params = {key: getattr(value, "value", value) for key, value in dict(dag.params).items()} | _conf(arguments.conf)
    settings = read_settings()
    context = _context(dag, task, params=params, map_index=arguments.map_index)
    render: Any = task.render_template_fields
    render(context)
    task.__dict__.update(_without_results(task))
    stacks = read_stacks(settings, dag_file=dag.fileloc, root=root_of(dag))
    name, why = stack_choice(
        stacks, settings, step=arguments.stack or task.stack or None, declared=dict(dag.params), params=params
    )
    resolved = task.resolve_on(stacks, name, context["ti"], why=why)
    options = options_for(context, settings, stacks)
    planner = Planner(
        definition=task.definition(context, root_of(dag)), identity=identity_of(context["ti"], settings),
        resolved=resolved, options=replace(options, local_allowed=True), store=ObjectStore(),
    )  # fmt: skip
    if not options.local_allowed and any(target.backend == "local" for target in resolved.targets):
        resolved = replace(resolved, why=(*resolved.why, LOCAL_NOTE))
    planned = [planner.plan(1, index) for index in range(len(resolved.targets))]
    return _as_json(planned, resolved) if arguments.json else _as_text(planned, resolved)


def find_task(dag_id: str, task_id: str) -> tuple[Any, MlxJobOperator]:
    """
    The step's operator, from the DAG files of this deployment.

    :raises InvalidStep: there is no such DAG or task, or it is not a step of ours.
    """
    dag, import_errors = find_dag(dag_id)
    if dag is None:
        raise InvalidStep(
            f"there is no DAG `{dag_id}`", [Problem(error, "mend the file") for error in import_errors],
            remedy="look at `[core] dags_folder` and at the DAG's file",
        )  # fmt: skip
    return dag, task_of(dag, task_id)


def task_of(dag: Any, task_id: str) -> MlxJobOperator:
    """
    A step of a DAG; of a mapped one, an instance with the mapped arguments left open.

    :raises InvalidStep: there is no such task, or it is not a step of ours.
    """
    tasks = {task.task_id: task for task in dag.tasks}
    if task_id not in tasks:
        raise InvalidStep(
            f"DAG `{dag.dag_id}` has no task `{task_id}`", [Problem(f"it has {', '.join(sorted(tasks))}")]
        )
    task = tasks[task_id]
    if getattr(task, "is_mapped", False) or hasattr(task, "partial_kwargs"):
        task = _unmapped(task)
    if not isinstance(task, MlxJobOperator):
        raise InvalidStep(f"`{task_id}` is a {type(task).__name__}, not a step of airflow-provider-mlx")
    return task


def step_of(dag: Any, task_id: str) -> MlxStepOperator:
    """
    A step of a DAG, as :func:`task_of` finds it.

    :raises InvalidStep: it runs what its author brought, and no code of a DAG file.
    """
    task = task_of(dag, task_id)
    if not isinstance(task, MlxStepOperator):
        raise InvalidStep(f"`{task_id}` is a {type(task).__name__}, which brings no code to run elsewhere")
    return task


def _unmapped(task: Any) -> Any:
    """One instance of a mapped step, with the mapped arguments left open."""
    mapped = task.op_kwargs_expand_input.value if hasattr(task, "op_kwargs_expand_input") else task.expand_input.value
    values = dict.fromkeys(mapped, UNKNOWN) if isinstance(mapped, Mapping) else {}
    return task.unmap({"op_kwargs": values} if hasattr(task, "op_kwargs_expand_input") else values)


def _context(dag: Any, task: Any, *, params: Mapping[str, Any], map_index: int) -> dict[str, Any]:
    """A run's context as far as a plan needs it: values that are not known yet say so."""
    now = datetime.now(UTC).replace(microsecond=0)
    run_id = "plan__run"
    ti = SimpleNamespace(
        dag_id=dag.dag_id, run_id=run_id, task_id=task.task_id, map_index=map_index, try_number=1,
        max_tries=task.retries, task=task, id="", xcom_pull=lambda *args, **kwargs: UNKNOWN,
    )  # fmt: skip
    return {
        "dag": dag, "task": task, "ti": ti, "task_instance": ti, "params": dict(params), "run_id": run_id,
        "logical_date": now, "data_interval_start": now, "data_interval_end": now,
        "ds": now.strftime("%Y-%m-%d"), "ds_nodash": now.strftime("%Y%m%d"), "ts": now.isoformat(),
        "ts_nodash": now.strftime("%Y%m%dT%H%M%S"),
        "dag_run": SimpleNamespace(run_id=run_id, conf={}, start_date=now, run_type="manual", logical_date=now),
    }  # fmt: skip


def _without_results(task: Any) -> dict[str, Any]:
    """Arguments in which results of earlier steps are replaced by words that say so."""
    return {name: _known(getattr(task, name)) for name in ("op_args", "op_kwargs", "arguments") if hasattr(task, name)}


def _known(value: Any) -> Any:
    if hasattr(value, "iter_references") or type(value).__name__.endswith("XComArg"):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(item) for item in value]
    return value


def _conf(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidStep(f"`--conf` is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidStep("`--conf` must be a JSON object")
    return value


def _as_text(planned: list[PlannedAttempt], resolved: ResolvedStep) -> str:
    lines = [f"{planned[0].spec.identity.task_id} of {planned[0].spec.identity.dag_id}", "", "why"]
    lines += [f"  {reason}" for reason in resolved.why]
    for attempt in planned:
        lines += ["", f"{attempt.backend.name} job, attempt 1, named like {attempt.spec.name}"]
        lines += [f"  {warning}" for warning in attempt.warnings]
        if attempt.limit:
            lines.append(f"  stopped after {attempt.limit}")
        if attempt.bundle:
            user = [name for name in attempt.bundle.files if name.startswith("source/")]
            lines.append(
                f"  bundle {attempt.bundle.sha256[:12]}, {attempt.bundle.size:,} bytes, with {', '.join(user)}"
            )
        lines += ["  request", *(f"    {line}" for line in json.dumps(attempt.request, indent=2).splitlines())]
        lines += ["  context.json", *(f"    {line}" for line in attempt.context.decode().splitlines())]
    return "\n".join(lines)


def _as_json(planned: list[PlannedAttempt], resolved: ResolvedStep) -> str:
    return json.dumps(
        {
            "why": resolved.why,
            "stack": resolved.stack,
            "target": resolved.target,
            "attempts": [
                {
                    "backend": attempt.backend.name,
                    "name": attempt.spec.name,
                    "warnings": attempt.warnings,
                    "limit_seconds": attempt.limit.total_seconds() if attempt.limit else None,
                    "bundle": {"sha256": attempt.bundle.sha256, "files": attempt.bundle.files}
                    if attempt.bundle
                    else None,
                    "request": attempt.request,
                    "context": json.loads(attempt.context),
                }
                for attempt in planned
            ],
        },
        indent=2,
    )
