"""Where a pipeline runs: on the server of the task's own connection, or of the stack's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.runs.settings import RunSettings
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import ServerSettings
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks import ResolvedStep, Stacks, StepChoice, resolve_target
from airflow_provider_mlx.stacks.stack import Target

BACKEND: Final = "kubeflow_pipeline_run"


@dataclass(frozen=True)
class RunPlacing:
    """
    What a task says about the place of its run.

    :param conn_id: of a server: then nothing of a target counts but what the policy says about it.
    :param settings: keys of a target that the task sets itself; empty ones are left to the target.
    :param max_runtime: text for ``stacks.durations.parse_duration``.
    """

    dag_id: str
    task_id: str
    settings: dict[str, Any]
    target: str | None = None
    conn_id: str | None = None
    max_runtime: str | None = None


def run_targets(stacks: Stacks, stack: str, placing: RunPlacing, *, why: str) -> ResolvedStep:
    """
    The targets of a run on a stack.

    :raises InvalidStep: nothing says which server it is for.
    """
    choice = StepChoice(dag_id=placing.dag_id, task_id=placing.task_id, target=placing.target)
    resolved = resolve_target(stacks, stack, choice, why=why)
    ours = [target for target in resolved.targets if isinstance(target.settings, ServerSettings)]
    if placing.conn_id is not None:
        own = Target(resolved.target, BACKEND, "the task's own `conn_id=`", conn_id=placing.conn_id)
        ours = [replace(own, tags=resolved.targets[0].tags)]
    if not ours:
        backends = ", ".join(sorted({target.backend for target in resolved.targets}))
        raise InvalidStep(
            f"nothing says where the pipeline of `{placing.task_id}` runs",
            [Problem(
                f"the target `{resolved.target}` of stack `{stack}` runs on {backends}",
                "name a connection in `conn_id=`, or a target whose backend is kubeflow_pipelines",
                "target" if placing.target else "conn_id",
            )],
        )  # fmt: skip
    said = {**placing.settings, "conn_id": placing.conn_id}
    return replace(
        resolved,
        targets=(_for_run(ours[0], placing),),  # a fallback list is for capacity, which a pipeline's tasks wait for
        overrides=tuple(f"kubeflow_pipelines.{name}" for name, value in sorted(said.items()) if value),
    )


def _for_run(target: Target, placing: RunPlacing) -> Target:
    settings: dict[str, Any] = {}
    if isinstance(target.settings, ServerSettings):
        settings = {name: getattr(target.settings, name) for name in RunSettings.model_fields}
    settings |= {name: value for name, value in placing.settings.items() if value}
    return replace(
        target, backend=BACKEND, image=None, secrets={}, env={}, tracking={}, python=None, wheelhouse=None,
        max_queue=None, give_up_pending_after=None, on_demand_fallback="never",
        settings=RunSettings.model_validate(settings),
        resources={"timeout": placing.max_runtime} if placing.max_runtime else {},
    )  # fmt: skip
