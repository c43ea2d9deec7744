"""``MlxSageMakerPipelineOperator``: runs an execution of a SageMaker pipeline as a job, with a step's promises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .job import MlxJobOperator
from .untemplated import span_text

if TYPE_CHECKING:
    from airflow_provider_mlx.stacks import ResolvedStep, Stacks
    from airflow_provider_mlx.step.definition import StepDefinition


class MlxSageMakerPipelineOperator(MlxJobOperator):
    """
    Start an execution of a pipeline that is in SageMaker already, and see it to its end.

    It is started once, adopted by a retry, watched with all others of its region, and stopped with its task. What its
    steps have made is the task's result; which of them failed, and why, is its error.

    :param pipeline: the pipeline's name or ARN.
    :param parameters: name → text, number or boolean; compared with the pipeline's definition before the start.
    :param version: the pipeline's version, by its number or its alias; by default the newest.
    :param parallelism: how many steps run at a time, instead of the pipeline's own.
    :param display_name: what the execution's name in Studio begins with; by default DAG and task. What identifies the
        task instance and its attempt follows.
    :param description: of the execution; by default which task started it.
    :param selected_steps: the steps that run, where not all do; the others' results are those of an earlier execution.
    :param source_execution: ARN of that execution; by default the newest that fits.
    :param conn_id: an Airflow connection of type ``aws``, instead of the target's.
    :param region: of the pipeline, where neither its ARN nor the connection says it.
    :param console_url: address of an execution's page, with ``{region}``, ``{pipeline}`` and ``{execution}``.
    :param target: the logical target in the stack, whose connection, region and limits count.
    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param max_runtime: how long the execution may take, as ``2h``.
    :param deferrable: whether the task leaves its worker slot while it waits; by default ``[mlx] deferrable``.
    """

    template_fields: Sequence[str] = (
        "pipeline", "parameters", "version", "parallelism", "display_name", "description", "selected_steps",
        "source_execution", "conn_id", "region", "console_url", "target", "stack", "max_runtime",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    custom_operator_name = "MlxSageMakerPipeline"

    def __init__(
        self,
        *,
        pipeline: str,
        parameters: Mapping[str, Any] | None = None,
        version: int | str | None = None,
        parallelism: int | str | None = None,
        display_name: str | None = None,
        description: str | None = None,
        selected_steps: Sequence[str] | None = None,
        source_execution: str | None = None,
        conn_id: str | None = None,
        region: str | None = None,
        console_url: str | None = None,
        target: str | None = None,
        stack: str | None = None,
        max_runtime: timedelta | str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(stack=stack, target=target, deferrable=deferrable, **kwargs)
        self.pipeline = pipeline
        self.parameters = dict(parameters or {})
        self.version = version
        self.parallelism = parallelism
        self.display_name = display_name
        self.description = description
        self.selected_steps = list(selected_steps or [])
        self.source_execution = source_execution
        self.conn_id = conn_id
        self.region = region
        self.console_url = console_url
        self.max_runtime = span_text(max_runtime)
        if not pipeline:
            problem = Problem("there is none", "give the name or the ARN of a pipeline", "pipeline")
            raise InvalidStep(f"task `{self.task_id}` cannot be built", [problem])

    def resolve_on(self, stacks: Stacks, stack: str, ti: Any, *, why: str) -> ResolvedStep:
        """The connection and region in which the pipeline is."""
        from .pipeline_targets import PipelinePlacing, pipeline_targets

        placing = PipelinePlacing(
            ti.dag_id, ti.task_id, self.pipeline, self.target or None, self.conn_id or None, self.region or None,
            self.console_url or None, self.max_runtime or None,
        )  # fmt: skip
        return pipeline_targets(stacks, stack, placing, why=why)

    def outline(self) -> StepDefinition:
        """What is asked of the pipeline."""
        from airflow_provider_mlx.step.definition import StepDefinition

        said = ("version", "parallelism", "display_name", "description", "source_execution")
        asked = {name: getattr(self, name) for name in said if getattr(self, name) not in (None, "")}
        asked |= {"parameters": self.parameters} if self.parameters else {}
        asked |= {"selected_steps": list(self.selected_steps)} if self.selected_steps else {}
        try:
            whole = json.loads(json.dumps(asked))
        except (TypeError, ValueError) as error:
            problem = Problem(f"a value cannot be sent: {error}", "give text, numbers and booleans", "parameters")
            raise InvalidStep("the execution cannot be started", [problem]) from None
        return StepDefinition(manifest=whole)

    def definition(self, context: Mapping[str, Any], root: str | None) -> StepDefinition:
        """The same, which is written down as it is and shown in Studio: no secret may stand in it."""
        from .masked import masked_problems

        problems = masked_problems(
            self, ("parameters", "display_name", "description"),
            where="it is written to the artifact root, and SageMaker shows it",
            instead="keep it in Secrets Manager, and give the pipeline the secret's name",
        )  # fmt: skip
        if problems:
            raise InvalidStep("the execution holds secrets that would be kept", problems)
        return self.outline()
