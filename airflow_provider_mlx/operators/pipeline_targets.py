"""Where an execution of a SageMaker pipeline is started: the task's own connection, or those of the stack's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings, region_of
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks import ResolvedStep, Stacks, StepChoice, resolve_target
from airflow_provider_mlx.stacks.stack import Target

BACKEND: Final = "sagemaker_pipeline"


@dataclass(frozen=True)
class PipelinePlacing:
    """
    What a task says about its pipeline's place.

    :param conn_id: of AWS: then nothing of a target counts but what the policy says about it.
    :param max_runtime: text for ``stacks.durations.parse_duration``.
    """

    dag_id: str
    task_id: str
    pipeline: str
    target: str | None = None
    conn_id: str | None = None
    region: str | None = None
    console_url: str | None = None
    max_runtime: str | None = None


def pipeline_targets(stacks: Stacks, stack: str, placing: PipelinePlacing, *, why: str) -> ResolvedStep:
    """
    The targets of an execution on a stack.

    Without a connection of the task's own and without a target on SageMaker, what the worker's environment says counts,
    where the region is known.

    :raises InvalidStep: nothing says where the pipeline is.
    """
    choice = StepChoice(dag_id=placing.dag_id, task_id=placing.task_id, target=placing.target)
    resolved = resolve_target(stacks, stack, choice, why=why)
    ours = [target for target in resolved.targets if isinstance(target.settings, SageMakerSettings)]
    known = placing.region or region_of(placing.pipeline)
    if placing.conn_id is not None or (not ours and known):
        where = "the task's own `conn_id=`" if placing.conn_id else "the worker's environment"
        own = Target(resolved.target, BACKEND, where, conn_id=placing.conn_id)
        ours = [replace(own, tags=resolved.targets[0].tags)]
    if not ours:
        backends = ", ".join(sorted({target.backend for target in resolved.targets}))
        raise InvalidStep(
            f"nothing says where the pipeline of `{placing.task_id}` is",
            [Problem(
                f"the target `{resolved.target}` of stack `{stack}` runs on {backends}",
                "name a connection in `conn_id=`, a target whose backend is sagemaker, or a `region=` for which the "
                "worker's environment has credentials",
                "target" if placing.target else "conn_id",
            )],
        )  # fmt: skip
    said = {"conn_id": placing.conn_id, "region": placing.region}
    return replace(
        resolved,
        targets=(_for_pipeline(ours[0], placing),),  # a fallback list is for capacity, which a pipeline brings itself
        overrides=tuple(f"sagemaker.{name}" for name, value in sorted(said.items()) if value is not None),
    )


def _for_pipeline(target: Target, placing: PipelinePlacing) -> Target:
    own = {"pipeline": placing.pipeline, "region": placing.region, "console_url": placing.console_url}
    settings = {name: value for name, value in own.items() if value}
    if isinstance(target.settings, SageMakerSettings) and not (placing.region or region_of(placing.pipeline)):
        settings["region"] = target.settings.region
    return replace(
        target, backend=BACKEND, image=None, secrets={}, env={}, tracking={}, python=None, wheelhouse=None,
        max_queue=None, give_up_pending_after=None, on_demand_fallback="never",
        settings=PipelineSettings.model_validate(settings),
        resources={"timeout": placing.max_runtime} if placing.max_runtime else {},
    )  # fmt: skip
