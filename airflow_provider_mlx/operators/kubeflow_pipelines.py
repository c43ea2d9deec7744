"""``KubeflowPipelinesRunOperator``: runs a pipeline on Kubeflow Pipelines as a job, with a step's promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .job import MlxJobOperator
from .kubeflow_events import tell_run
from .untemplated import as_written, span_text

if TYPE_CHECKING:
    from airflow_provider_mlx.stacks import ResolvedStep, Stacks
    from airflow_provider_mlx.step.definition import StepDefinition

_SERVER_FIELDS = ("namespace", "experiment", "service_account", "pipeline_root", "console_url")
_SAID = ("outputs", "caching", "display_name", "description", "on_retry")


class KubeflowPipelinesRunOperator(MlxJobOperator):
    """
    Run a pipeline, and see it to its end.

    It is started once, adopted by a retry, watched with all others of its server, and stopped with its task. Its result
    has ``run_id``, ``pipeline``, ``tasks``, and what ``outputs`` names, each as an XCom of its own too.

    :param pipeline: a compiled pipeline (a file's path from the DAG file's folder, an object's URI, YAML, or a dict);
        or a Python file with ``@dsl.pipeline``, which is compiled in an environment of its own.
    :param function: the function under ``@dsl.pipeline``, where the file has several.
    :param pipeline_name: instead of ``pipeline``: one that is registered on the server.
    :param version: of it, by name; by default the newest.
    :param parameters: of the run, compared with the pipeline's own before it is started.
    :param outputs: name → ``task.output``: what of its tasks becomes the task's result; a model or a dataset is a
        reference by URI that other steps take.
    :param caching: whether tasks that ran before with the same inputs are skipped; by default as it was compiled.
    :param on_retry: what a retry does after a failure: ``new``, another run; ``resume``, the failed tasks of the same
        run again, with what it was started with. A clear is always another run.
    :param experiment: where the run is listed; it is made if there is none.
    :param service_account: that the tasks' pods run as.
    :param pipeline_root: where Kubeflow Pipelines keeps the artifacts.
    :param namespace: of a profile, on a multi-user server.
    :param display_name: of the run on its page; by default DAG, task and attempt.
    :param description: of the run; by default which task started it.
    :param include: further local packages and files that the Python file imports.
    :param sdk_version: of ``kfp`` that compiles a Python file; not newer than the server.
    :param sdk_packages: further packages that the Python file imports when it is compiled.
    :param pipeline_conn_id: of the store, where ``pipeline`` is an object's URI.
    :param conn_id: an Airflow connection of type ``kubeflow_pipelines``, instead of the target's.
    :param console_url: address of a run's page, with ``{namespace}``, ``{run}`` and ``{experiment}``.
    :param target: the logical target in the stack, whose connection, namespace and limits count.
    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param max_runtime: how long the run may take, as ``2h``.
    :param deferrable: whether the task leaves its worker slot while it waits; by default ``[mlx] deferrable``.
    """

    template_fields: Sequence[str] = (
        "pipeline", "function", "pipeline_name", "version", "parameters", "outputs", "on_retry", "experiment",
        "service_account", "pipeline_root", "namespace", "display_name", "description", "sdk_version", "conn_id",
        "console_url", "target", "stack", "max_runtime",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json", "outputs": "json"}
    custom_operator_name = "KubeflowPipelinesRun"
    multiple_outputs = True

    def __init__(
        self,
        *,
        pipeline: str | Mapping[str, Any] | None = None,
        function: str | None = None,
        pipeline_name: str | None = None,
        version: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        outputs: Mapping[str, str] | None = None,
        caching: bool | None = None,
        on_retry: str | None = None,
        experiment: str | None = None,
        service_account: str | None = None,
        pipeline_root: str | None = None,
        namespace: str | None = None,
        display_name: str | None = None,
        description: str | None = None,
        include: Sequence[str] = (),
        sdk_version: str | None = None,
        sdk_packages: Sequence[str] = (),
        pipeline_conn_id: str | None = None,
        conn_id: str | None = None,
        console_url: str | None = None,
        target: str | None = None,
        stack: str | None = None,
        max_runtime: timedelta | str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(stack=stack, target=target, deferrable=deferrable, **kwargs)
        self.pipeline = as_written(pipeline)
        self.function = function
        self.pipeline_name = pipeline_name
        self.version = version
        self.parameters = dict(parameters or {})
        self.outputs = dict(outputs or {})
        self.caching = caching
        self.on_retry = on_retry
        self.experiment = experiment
        self.service_account = service_account
        self.pipeline_root = pipeline_root
        self.namespace = namespace
        self.display_name = display_name
        self.description = description
        self.include = list(include)
        self.sdk_version = sdk_version
        self.sdk_packages = list(sdk_packages)
        self.pipeline_conn_id = pipeline_conn_id
        self.conn_id = conn_id
        self.console_url = console_url
        self.max_runtime = span_text(max_runtime)
        self._bundle_root: str | None = None
        if bool(pipeline) == bool(pipeline_name):
            problem = Problem(
                "there is none, or there are two", "give `pipeline=` or `pipeline_name=`", "pipeline, pipeline_name"
            )
            raise InvalidStep(f"task `{self.task_id}` cannot be built", [problem])

    def resolve_on(self, stacks: Stacks, stack: str, ti: Any, *, why: str) -> ResolvedStep:
        """The server on which the pipeline runs."""
        from airflow_provider_mlx.version_compat import bundle_root

        from .kubeflow_targets import RunPlacing, run_targets

        self._bundle_root = bundle_root(ti)
        said = {name: getattr(self, name) for name in _SERVER_FIELDS}
        placing = RunPlacing(
            ti.dag_id, ti.task_id, said, self.target or None, self.conn_id or None, self.max_runtime or None
        )
        return run_targets(stacks, stack, placing, why=why)

    def outline(self) -> StepDefinition:
        """The pipeline, and what is asked of it."""
        from airflow_provider_mlx.step.definition import StepDefinition

        asked = {name: getattr(self, name) for name in _SAID if getattr(self, name) not in (None, "", {})}
        asked |= {"parameters": self.parameters} if self.parameters else {}
        try:
            whole = json.loads(json.dumps(asked, allow_nan=False))
        except (TypeError, ValueError) as error:
            problem = Problem(f"a value cannot be sent: {error}", "give plain JSON values", "parameters")
            raise InvalidStep("the run cannot be started", [problem]) from None
        return StepDefinition(manifest={**whole, "pipeline": self._pipeline()})

    def definition(self, context: Mapping[str, Any], root: str | None) -> StepDefinition:
        """The same, which is written down as it is and shown on the run's page: no secret may stand in it."""
        from .masked import masked_problems

        self._bundle_root = root
        problems = masked_problems(
            self, ("parameters", "display_name", "description"),
            where="it is written to the artifact root, and the server shows it",
            instead="keep it in a Secret of the cluster, which the pipeline's tasks read",
        )  # fmt: skip
        if problems:
            raise InvalidStep("the run holds secrets that would be kept", problems)
        return self.outline()

    def _as_airflow(self, context: Any, act: Callable[..., Any], **arguments: Any) -> Any:
        """The result, of which the events of the outlets tell: which run it was, and where its outputs lie."""
        made = super()._as_airflow(context, act, **arguments)
        if self.outlets and isinstance(made, Mapping):
            run = {"run_id": made.get("run_id"), "pipeline": made.get("pipeline") or self.pipeline_name}
            outputs = {name: made.get(name) for name in self.outputs}
            tell_run(self.outlets, run, outputs, context["outlet_events"])
        return made

    def _pipeline(self) -> dict[str, Any]:
        if self.pipeline_name:
            return {"name": self.pipeline_name, **({"version": self.version} if self.version else {})}
        from .pipeline_sources import load_for

        loaded = load_for(self, root=self._bundle_root)
        return {"spec": dict(loaded.spec), **({"platform": dict(loaded.platform)} if loaded.platform else {})}
