"""What a server of Kubeflow Pipelines keeps: versions of pipelines, and recurring runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_mlx.exceptions import InvalidStep, JobConflict, MlxError, Problem

from .untemplated import as_written, span_text

if TYPE_CHECKING:
    from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline
    from airflow_provider_mlx.hooks.kubeflow_pipelines import KubeflowPipelinesHook

DEFAULT_CONN_ID: Final = "kubeflow_pipelines_default"
STATES: Final = ("enabled", "disabled", "absent")


class _RegistryOperator(BaseOperator):
    """Changes what a server keeps, by the hook, and ends; a subclass says what."""

    ui_color = "#e6f0fa"
    pipeline: Any
    function: str | None
    include: list[str]
    sdk_version: str | None
    sdk_packages: list[str]
    pipeline_conn_id: str | None
    namespace: str | None
    conn_id: str

    def execute(self, context: Any) -> Any:
        """Do it, once however often it is tried."""
        from airflow_provider_mlx.hooks.kubeflow_pipelines import KubeflowPipelinesHook
        from airflow_provider_mlx.operators.failures import as_airflow_error

        hook = KubeflowPipelinesHook(self.conn_id or DEFAULT_CONN_ID, namespace=self.namespace or None)
        try:
            return self._act(hook, context)
        except MlxError as error:
            if not (error.where or error.job):
                error.job = f"task `{self.task_id}` of `{self.dag.dag_id}`"
            raise as_airflow_error(error) from error.__cause__
        finally:
            hook.close()

    def _act(self, hook: KubeflowPipelinesHook, context: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _load(self, context: Any) -> CompiledPipeline:
        """The pipeline that the task brings."""
        from airflow_provider_mlx.version_compat import bundle_root

        from .pipeline_sources import load_for

        return load_for(self, root=bundle_root(context["ti"]))

    def _say(self, line: str) -> None:
        self.log.info("mlx: %s", line)

    def _masked(self, *fields: str) -> list[Problem]:
        """Fields with a secret, which the server would keep and show."""
        from .masked import masked_problems

        where = "the server would keep it and show it"
        instead = "keep it in a Secret of the cluster, which the pipeline's tasks read"
        return masked_problems(self, fields, where=where, instead=instead)


class KubeflowPipelinesUploadOperator(_RegistryOperator):
    """
    Have a version of a pipeline on the server; pipeline and version are made where they are missing.

    The same content is uploaded once. The result is ``pipeline_id``, ``pipeline_version_id`` and ``version``, each as
    an XCom of its own too.

    :param pipeline: a compiled pipeline (a file's path from the DAG file's folder, an object's URI, YAML, or a dict);
        or a Python file with ``@dsl.pipeline``, which is compiled in an environment of its own.
    :param function: the function under ``@dsl.pipeline``, where the file has several.
    :param pipeline_name: what the pipeline is called on the server; by default what it is called itself.
    :param version: the version's name; by default made from the content. A version is never overwritten: another
        content under a name that is taken is refused.
    :param description: of a version, and of a pipeline, that is made; by default which task made it.
    :param include: further local packages and files that the Python file imports.
    :param sdk_version: of ``kfp`` that compiles a Python file; not newer than the server.
    :param sdk_packages: further packages that the Python file imports when it is compiled.
    :param pipeline_conn_id: of the store, where ``pipeline`` is an object's URI.
    :param namespace: of a profile, on a multi-user server; by default the connection's.
    :param conn_id: an Airflow connection of type ``kubeflow_pipelines``.
    """

    template_fields: Sequence[str] = (
        "pipeline", "function", "pipeline_name", "version", "description", "sdk_version", "namespace", "conn_id",
    )  # fmt: skip
    custom_operator_name = "KubeflowPipelinesUpload"
    multiple_outputs = True

    def __init__(
        self,
        *,
        pipeline: str | Mapping[str, Any],
        function: str | None = None,
        pipeline_name: str | None = None,
        version: str | None = None,
        description: str | None = None,
        include: Sequence[str] = (),
        sdk_version: str | None = None,
        sdk_packages: Sequence[str] = (),
        pipeline_conn_id: str | None = None,
        namespace: str | None = None,
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.pipeline = as_written(pipeline)
        self.function = function
        self.pipeline_name = pipeline_name
        self.version = version
        self.description = description
        self.include = list(include)
        self.sdk_version = sdk_version
        self.sdk_packages = list(sdk_packages)
        self.pipeline_conn_id = pipeline_conn_id
        self.namespace = namespace
        self.conn_id = conn_id
        if not pipeline:
            problem = Problem("there is none", "give a compiled pipeline, or a Python file that holds one", "pipeline")
            raise InvalidStep(f"task `{self.task_id}` cannot be built", [problem])

    def _act(self, hook: KubeflowPipelinesHook, context: Any) -> dict[str, Any]:
        from airflow_provider_mlx.backends.kubeflow_pipelines.names import described, digest_in

        from .kubeflow_schedules import SETTLE_SECONDS
        from .kubeflow_versions import holds, uploaded

        if problems := self._masked("pipeline_name", "version", "description"):
            raise InvalidStep("the pipeline cannot be uploaded", problems)
        pipeline = self._load(context)
        content = pipeline.to_yaml()
        digest = hashlib.sha256(content.encode()).hexdigest()
        name, version = self.pipeline_name or pipeline.name, self.version or f"sha256-{digest[:16]}"
        said = self.description or f"Airflow: {self.dag.dag_id}, {self.task_id}"
        found = uploaded(
            hook.pipelines, name, version, content, description=described(said, digest), pauses=SETTLE_SECONDS
        )
        if digest_in(str(found.get("description") or "")) != digest and not holds(found, pipeline):
            raise JobConflict(
                f"the pipeline `{name}` has a version `{version}` already, and its content is another one",
                remedy="give another `version`, or leave it out: then it is made from the content",
            )
        self._say(f"pipeline `{name}`, version `{version}`: {found['pipeline_version_id']}")
        return {name: str(found[name]) for name in ("pipeline_id", "pipeline_version_id")} | {"version": version}


class KubeflowPipelinesRecurringRunOperator(_RegistryOperator):
    """
    Have a recurring run on the server: a schedule of its own, which goes on while Airflow is away.

    It is known by its name. One that was made from something else is replaced, the same one stays as it is, and one
    that no task has made is refused. The result is ``recurring_run_id`` (``None`` if it is absent) and ``state``.

    :param name: of the recurring run, and of one task only.
    :param state: ``enabled``, ``disabled`` (it stays, and starts nothing) or ``absent`` (it is removed).
    :param pipeline: a compiled pipeline, or a Python file, as for the other operators; it goes with the recurring run.
    :param function: the function under ``@dsl.pipeline``, where the file has several.
    :param pipeline_name: instead of ``pipeline``: one that is registered on the server.
    :param version: of it, by name; by default the newest when the task runs.
    :param parameters: of its runs, compared with the pipeline's own before anything is made.
    :param cron: when runs start: five fields as cron has them, or six with seconds in front. The server's time zone
        counts, which is UTC unless somebody has set ``CRON_SCHEDULE_TIMEZONE`` there.
    :param interval: instead of ``cron``: how often, as ``6h``.
    :param start: nothing starts before; ISO 8601 with its time zone, or a ``datetime``.
    :param end: nothing starts after.
    :param experiment: where its runs are listed; it is made if there is none.
    :param max_concurrency: how many of its runs may run at once, 1 to 10.
    :param no_catchup: whether times that were missed are left out, all but the last; the server's own default is no.
    :param service_account: that the tasks' pods run as.
    :param pipeline_root: where Kubeflow Pipelines keeps the artifacts.
    :param description: of the recurring run; by default which task made it.
    :param include: further local packages and files that the Python file imports.
    :param sdk_version: of ``kfp`` that compiles a Python file; not newer than the server.
    :param sdk_packages: further packages that the Python file imports when it is compiled.
    :param pipeline_conn_id: of the store, where ``pipeline`` is an object's URI.
    :param namespace: of a profile, on a multi-user server; by default the connection's.
    :param conn_id: an Airflow connection of type ``kubeflow_pipelines``.
    """

    template_fields: Sequence[str] = (
        "name", "state", "pipeline", "function", "pipeline_name", "version", "parameters", "cron", "interval", "start",
        "end", "experiment", "max_concurrency", "service_account", "pipeline_root", "description", "sdk_version",
        "namespace", "conn_id",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    custom_operator_name = "KubeflowPipelinesRecurringRun"
    multiple_outputs = True

    def __init__(
        self,
        *,
        name: str,
        state: str = "enabled",
        pipeline: str | Mapping[str, Any] | None = None,
        function: str | None = None,
        pipeline_name: str | None = None,
        version: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        cron: str | None = None,
        interval: timedelta | str | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        experiment: str = "Default",
        max_concurrency: int | str = 1,
        no_catchup: bool = True,
        service_account: str | None = None,
        pipeline_root: str | None = None,
        description: str | None = None,
        include: Sequence[str] = (),
        sdk_version: str | None = None,
        sdk_packages: Sequence[str] = (),
        pipeline_conn_id: str | None = None,
        namespace: str | None = None,
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.name = name
        self.state = state
        self.pipeline = as_written(pipeline)
        self.function = function
        self.pipeline_name = pipeline_name
        self.version = version
        self.parameters = dict(parameters or {})
        self.cron = cron
        self.interval = span_text(interval)
        self.start = start.isoformat() if isinstance(start, datetime) else start
        self.end = end.isoformat() if isinstance(end, datetime) else end
        self.experiment = experiment
        self.max_concurrency = max_concurrency
        self.no_catchup = no_catchup
        self.service_account = service_account
        self.pipeline_root = pipeline_root
        self.description = description
        self.include = list(include)
        self.sdk_version = sdk_version
        self.sdk_packages = list(sdk_packages)
        self.pipeline_conn_id = pipeline_conn_id
        self.namespace = namespace
        self.conn_id = conn_id
        if problems := list(self._parse_problems()):
            raise InvalidStep(f"task `{self.task_id}` cannot be built", problems)

    def _act(self, hook: KubeflowPipelinesHook, context: Any) -> dict[str, Any]:
        from .kubeflow_schedules import ensure_recurring_run, remove_recurring_run

        if problems := list(self._parse_problems()):
            raise InvalidStep(f"the recurring run `{self.name}` cannot be made", problems)
        if self.state == "absent":
            remove_recurring_run(hook.recurring_runs, self.name, say=self._say)
            return {"recurring_run_id": None, "state": self.state}
        body = self._body(hook, context)
        made = ensure_recurring_run(hook.recurring_runs, body, enabled=self.state == "enabled", say=self._say)
        return {"recurring_run_id": made, "state": self.state}

    def _body(self, hook: KubeflowPipelinesHook, context: Any) -> dict[str, Any]:
        """The body of ``POST /recurringruns``, once nothing is wrong with it."""
        from airflow_provider_mlx.backends.kubeflow_pipelines.runs.request import pipeline_problems

        from .kubeflow_schedules import Times, concurrency_of, trigger_of

        times = Times(self.cron or "", self.interval or "", self.start or "", self.end or "")
        trigger, problems = trigger_of(times)
        most, more = concurrency_of(self.max_concurrency)
        problems += [*more, *self._masked("name", "parameters", "description")]
        try:
            pipeline, source = self._source(hook, context)
            problems += pipeline_problems(pipeline, {"parameters": self.parameters})
        except InvalidStep as error:
            problems += error.problems or [Problem(error.what, error.remedy, "pipeline")]
        if problems:
            raise InvalidStep(f"the recurring run `{self.name}` cannot be made", problems)
        runtime = {"parameters": self.parameters, "pipeline_root": self.pipeline_root}
        body = {
            "display_name": self.name,
            "description": self.description or f"Airflow: {self.dag.dag_id}, {self.task_id}",
            "runtime_config": {key: value for key, value in runtime.items() if value},
            "service_account": self.service_account,
            "trigger": trigger,
            "max_concurrency": most,
            "no_catchup": self.no_catchup,
            "experiment_id": hook.get_conn().experiment_id(self.experiment),
            **source,
        }
        whole: dict[str, Any] = json.loads(json.dumps({key: value for key, value in body.items() if value is not None}))
        return whole

    def _source(self, hook: KubeflowPipelinesHook, context: Any) -> tuple[CompiledPipeline, dict[str, Any]]:
        """The pipeline, and how a recurring run names it."""
        if not self.pipeline_name:
            pipeline = self._load(context)
            return pipeline, {"pipeline_spec": pipeline.pipeline_spec}
        from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline

        version = hook.pipelines.require_version(self.pipeline_name, self.version or "")
        ids = {name: version[name] for name in ("pipeline_id", "pipeline_version_id")}
        return parse_pipeline(version["pipeline_spec"]), {"pipeline_version_reference": ids}

    def _parse_problems(self) -> Iterator[Problem]:
        """What can be wrong while the DAG is parsed; templates are known later."""
        if not self.name:
            yield Problem("there is none", "give a name, by which the recurring run is found again", "name")
        if isinstance(self.state, str) and "{{" not in self.state and self.state not in STATES:
            yield Problem(f"`{self.state}` is none of them", f"say one of {', '.join(STATES)}", "state")
        if self.state == "absent":
            return
        if bool(self.pipeline) == bool(self.pipeline_name):
            what = "there is none, or there are two"
            yield Problem(what, "give `pipeline=` or `pipeline_name=`", "pipeline, pipeline_name")
        if bool(self.cron) == bool(self.interval):
            what = "there is none of them, or there are both"
            yield Problem(what, "give `cron=` or `interval=`", "cron, interval")
