"""``KubeflowPipelinesRunSensor``: waits for a run of Kubeflow Pipelines that something else has made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, BaseHook, BaseSensorOperator, PokeReturnValue

from airflow_provider_mlx.exceptions import (
    BackendUnavailable,
    InvalidStep,
    JobMisconfigured,
    MlxError,
    Problem,
    first_line,
)

if TYPE_CHECKING:
    from airflow_provider_mlx.backends.base import JobHandle, JobObserver
    from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend


class KubeflowPipelinesRunSensor(BaseSensorOperator):
    """
    Wait until a run has ended: one of a schedule, of a notebook, of another team.

    The result says which run it was and how it ended: ``run_id``, ``state`` and ``reason``, and with ``outputs`` or
    outlets also ``pipeline`` and ``outputs``. It stops nothing. A run that is not there fails the task.

    :param run_id: the run's.
    :param outputs: name → ``task.artifact``: what its tasks wrote, as references by URI; ``None`` where nothing tells.
    :param namespace: of a profile, on a multi-user server; by default the connection's.
    :param conn_id: an Airflow connection of type ``kubeflow_pipelines``.
    :param fail_on_failure: a failed run fails the task; else the task succeeds, and its result says so.
    :param deferrable: whether the triggerer waits, by the watch that runs share; by default ``[mlx] deferrable``.
    """

    template_fields: Sequence[str] = ("run_id", "outputs", "namespace", "conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"outputs": "json"}
    ui_color = "#e6f0fa"
    custom_operator_name = "KubeflowPipelinesRunSensor"

    def __init__(
        self,
        *,
        run_id: str,
        outputs: Mapping[str, str] | None = None,
        namespace: str | None = None,
        conn_id: str = "kubeflow_pipelines_default",
        fail_on_failure: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.outputs = dict(outputs or {})
        self.namespace = namespace
        self.conn_id = conn_id
        self.fail_on_failure = fail_on_failure
        self.deferrable = deferrable
        self._backend: PipelineRunBackend | None = None
        self._observer: JobObserver | None = None

    def execute(self, context: Any) -> Any:
        """Look once; then wait in the slot or leave it."""
        from airflow_provider_mlx.settings import read_settings
        from airflow_provider_mlx.version_compat import can_defer

        wanted = read_settings().deferrable if self.deferrable is None else self.deferrable
        try:
            if not (wanted and can_defer()):
                return super().execute(context)
            seen = self.poke(context)
            return seen.xcom_value if seen.is_done else self._leave()
        finally:
            self._close()

    def poke(self, context: Any) -> PokeReturnValue:
        """One look at the run."""
        from airflow_provider_mlx.backends.base import State
        from airflow_provider_mlx.triggers.kubernetes_object import to_wire

        try:
            handle = self._handle()
            status = self._connected().observe([handle], 0.0)[handle.name]
        except BackendUnavailable as error:
            self.log.info("mlx: no answer: %s", first_line(error))
            return PokeReturnValue(False)
        except MlxError as error:
            raise self._as_airflow(error) from error.__cause__
        if not (status.state.finished or status.state is State.ABSENT):
            self.log.info("mlx: waiting: %s", status.reason or "it runs")
            return PokeReturnValue(False)
        return PokeReturnValue(True, self._ended(context, to_wire(status)))

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """
        Go on after the trigger has fired.

        :param event: what :class:`~airflow_provider_mlx.triggers.kubeflow_run.RunTrigger` fired.
        """
        try:
            if "cannot_watch" not in event:
                return self._ended(context, event)
            self.log.warning("mlx: %s: a worker watches the run instead", event["cannot_watch"])
            return super().execute(context)
        finally:
            self._close()

    def _leave(self) -> None:
        from airflow_provider_mlx.jobs.ledger import utc_now
        from airflow_provider_mlx.operators.deferral import QUIET_SECONDS
        from airflow_provider_mlx.triggers.kubeflow_run import RunTrigger

        not_before = utc_now() + timedelta(seconds=QUIET_SECONDS)
        settings = self._server().settings.model_dump(mode="json")
        trigger = RunTrigger(self._handle().to_wire(), settings, self.conn_id, not_before.isoformat())
        # Airflow may end it at its timeout: there is no job of ours that would be left running.
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    # --- how it ended ------------------------------------------------------------------------------------------------

    def _ended(self, context: Any, seen: Mapping[str, Any]) -> dict[str, Any]:
        if seen["state"] == "absent":
            raise self._as_airflow(JobMisconfigured(
                f"there is no run `{self.run_id}`",
                remedy="check its id, the namespace and the server; if somebody has removed it, how it ended is lost",
            ))  # fmt: skip
        if seen["state"] != "succeeded" and self.fail_on_failure:
            raise self._as_airflow(self._failure(seen))
        told = {"run_id": self.run_id, "state": seen["state"], "reason": seen["reason"]}
        if not (self.outputs or self.outlets):
            return told
        try:
            return {**told, **self._made(context, seen)}
        except MlxError as error:
            raise self._as_airflow(error) from error.__cause__

    def _failure(self, seen: Mapping[str, Any]) -> MlxError:
        from airflow_provider_mlx.exceptions import JobCancelled, StepFailed
        from airflow_provider_mlx.jobs.failures import REASONS

        kind = REASONS.get(seen["failure"] or "", JobCancelled if seen["state"] == "stopped" else StepFailed)
        said = f": {seen['reason']}" if seen["reason"] else ""
        remedy = "look at whoever made it; `fail_on_failure=False` lets the task succeed and tell how it ended"
        return kind(f"the run `{self.run_id}` has {seen['state']}{said}", remedy=remedy)

    def _made(self, context: Any, seen: Mapping[str, Any]) -> dict[str, Any]:
        """What the run has made, in the result and in the events of the outlets."""
        from airflow_provider_mlx.operators.kubeflow_events import tell_run
        from airflow_provider_mlx.operators.kubeflow_runs import told_of

        wanted = self.outputs if seen["state"] == "succeeded" else {}
        made = told_of(self._server().client, self.run_id, wanted)
        if self.outlets:
            run = {"run_id": self.run_id, "pipeline": made["pipeline"], "state": seen["state"]}
            tell_run(self.outlets, run, made["outputs"], context["outlet_events"])
        return made

    def _as_airflow(self, error: MlxError) -> AirflowException:
        from airflow_provider_mlx.operators.failures import as_airflow_error

        error.job = error.job or f"sensor `{self.task_id}`"
        return as_airflow_error(error)

    # --- the server --------------------------------------------------------------------------------------------------

    def _handle(self) -> JobHandle:
        from airflow_provider_mlx.backends.base import JobHandle

        return JobHandle(self._server().name, self.run_id, id=self.run_id)

    def _connected(self) -> JobObserver:
        """Asks for the run; what is wanted of it is checked before anybody waits."""
        from airflow_provider_mlx.operators.kubeflow_runs import check_outputs

        if self._observer is None:
            client = self._server().client
            if self.outputs and (run := client.find_run(self.run_id)) is not None:
                check_outputs(client, run, self.outputs)
            self._observer = self._server().observer_of(self._handle())
        return self._observer

    def _server(self) -> PipelineRunBackend:
        from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend
        from airflow_provider_mlx.backends.kubeflow_pipelines.runs.settings import RunSettings

        if not self.run_id:
            raise InvalidStep(
                "there is no run to wait for",
                [Problem("it is empty", "give the id of a run, as a task before has returned it", "run_id")],
            )
        if self._backend is None:
            settings = RunSettings(namespace=self.namespace or "")
            self._backend = PipelineRunBackend(settings, self.conn_id, read_connection=BaseHook.get_connection)
        return self._backend

    def _close(self) -> None:
        """Close what is open; the next look opens it again."""
        observer, self._observer = self._observer, None
        backend, self._backend = self._backend, None
        if observer is not None:
            observer.close()
        if backend is not None and "client" in vars(backend):
            backend.client.close()
