"""``MlxKubernetesSensor``: waits for a job of a cluster that something else has made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from airflow.providers.common.compat.sdk import AirflowException, BaseHook, BaseSensorOperator, PokeReturnValue

from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, MlxError, Problem, first_line

API_VERSIONS: Final = ("apiVersion/Kind", "ray.io/v1/RayJob")


class MlxKubernetesSensor(BaseSensorOperator):
    """
    Wait until a Job, a JobSet, a TrainJob, a job of the training operator or any custom resource has ended.

    An object that is not there is waited for. The result says how it ended: ``state`` and ``reason``.

    :param name: the object's.
    :param kind: ``Job`` and the like, or ``apiVersion/Kind`` of a custom resource, as ``ray.io/v1/RayJob``.
    :param namespace: where it is.
    :param conn_id: an Airflow connection of type ``kubernetes``; by default what the environment says.
    :param success: for a kind without a row in our table, by what it succeeds, as for the operator.
    :param failure: by what it fails, likewise.
    :param plural: the kind's resource, where it is not the kind in lower case with an s.
    :param pods_label: label of its pods whose value is its name: then a failure is explained by them.
    :param fail_on_failure: a failed object fails the task; else the task succeeds, and its result says so.
    :param deferrable: whether the triggerer waits, by the watch that steps share; by default ``[mlx] deferrable``.
    """

    template_fields: Sequence[str] = ("name", "kind", "namespace", "conn_id", "success", "failure")
    ui_color = "#e6f0fa"
    custom_operator_name = "MlxKubernetes"

    def __init__(
        self,
        *,
        name: str,
        kind: str = "Job",
        namespace: str = "default",
        conn_id: str | None = None,
        success: Sequence[str] | None = None,
        failure: Sequence[str] | None = None,
        plural: str | None = None,
        pods_label: str | None = None,
        fail_on_failure: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.kind = kind
        self.namespace = namespace
        self.conn_id = conn_id
        self.success = list(success or [])
        self.failure = list(failure or [])
        self.plural = plural
        self.pods_label = pods_label
        self.fail_on_failure = fail_on_failure
        self.deferrable = deferrable
        self._backend: Any = None

    def execute(self, context: Any) -> Any:
        """Look once; then wait in the slot or leave it."""
        from airflow_provider_mlx.settings import read_settings
        from airflow_provider_mlx.version_compat import can_defer

        wanted = read_settings().deferrable if self.deferrable is None else self.deferrable
        if not (wanted and can_defer()):
            return super().execute(context)
        seen = self.poke(context)
        if seen.is_done:
            return seen.xcom_value
        return self._leave()

    def poke(self, context: Any) -> PokeReturnValue:
        """One look at the object."""
        backend, handle = self._looks_with()
        try:
            found = backend.find(handle.name, handle.location)
        except BackendUnavailable as error:
            self.log.info("mlx: no answer: %s", first_line(error))
            return PokeReturnValue(False)
        except MlxError as error:
            raise self._as_airflow(error) from error.__cause__
        if found is None:
            self.log.info("mlx: there is no %s `%s` in `%s` yet", self.kind, self.name, self.namespace)
            return PokeReturnValue(False)
        if not found.status.state.finished:
            self.log.info("mlx: waiting: %s", found.status.reason or "it runs")
            return PokeReturnValue(False)
        from airflow_provider_mlx.triggers.kubernetes_object import to_wire

        return PokeReturnValue(True, self._ended(to_wire(found.status)))

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """
        Go on after the trigger has fired.

        :param event: what :class:`~airflow_provider_mlx.triggers.kubernetes_object.ObjectTrigger` fired.
        """
        if "cannot_watch" in event:
            self.log.warning("mlx: %s: a worker watches the object instead", event["cannot_watch"])
            return super().execute(context)
        return self._ended(event)

    def _leave(self) -> None:
        from airflow_provider_mlx.jobs.ledger import utc_now
        from airflow_provider_mlx.operators.deferral import QUIET_SECONDS
        from airflow_provider_mlx.triggers.kubernetes_object import ObjectTrigger

        backend, handle = self._looks_with()
        not_before = utc_now() + timedelta(seconds=QUIET_SECONDS)
        trigger = ObjectTrigger(
            handle.to_wire(), backend.settings.model_dump(mode="json"), self.conn_id, not_before.isoformat()
        )
        # Airflow may end it at its timeout: there is no job of ours that would be left running.
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def _ended(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_mlx.exceptions import JobCancelled, StepFailed
        from airflow_provider_mlx.jobs.failures import REASONS

        if seen["state"] != "succeeded" and self.fail_on_failure:
            kind = REASONS.get(seen["failure"] or "", JobCancelled if seen["state"] == "stopped" else StepFailed)
            what = f"the {self.kind} `{self.name}` in `{self.namespace}` has {seen['state']}: {seen['reason']}"
            remedy = "look at whoever made it; `fail_on_failure=False` lets the task succeed and tell how it ended"
            raise self._as_airflow(kind(what, remedy=remedy))
        return dict(seen)

    def _as_airflow(self, error: MlxError) -> AirflowException:
        from airflow_provider_mlx.operators.failures import as_airflow_error

        error.job = error.job or f"sensor `{self.task_id}`"
        return as_airflow_error(error)

    def _looks_with(self) -> tuple[Any, Any]:
        """The backend that knows this kind, and the object's handle."""
        if self._backend is None:
            self._backend = self._connect()
        from airflow_provider_mlx.backends.base import JobHandle

        return self._backend, JobHandle(self._backend.name, self.name, location={"namespace": self.namespace})

    def _connect(self) -> Any:
        from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
        from airflow_provider_mlx.backends.kubernetes.manifests import kind_problems
        from airflow_provider_mlx.backends.kubernetes.resource import ResourceBackend
        from airflow_provider_mlx.backends.kubernetes.settings import ResourceKind, ResourceSettings

        version, _, kind = self.kind.rpartition("/")
        if not version and kind in KINDS:
            version = KINDS[kind].api_version
        problems = [] if version else [Problem(
            f"`{self.kind}` is none that we know", f"say {API_VERSIONS[0]}, as `{API_VERSIONS[1]}`; known are "
            + ", ".join(KINDS), "kind",
        )]  # fmt: skip
        resource = ResourceKind(
            api_version=version, kind=kind, plural=self.plural or "", success=tuple(self.success),
            failure=tuple(self.failure), pods_label=self.pods_label or "", foreign=True,
        )  # fmt: skip
        problems += [] if problems else kind_problems(resource)
        if problems:
            raise self._as_airflow(InvalidStep(f"sensor `{self.task_id}` cannot wait for that", problems))
        settings = ResourceSettings(namespace=self.namespace, resource=resource)
        return ResourceBackend(settings, self.conn_id, read_connection=BaseHook.get_connection)
