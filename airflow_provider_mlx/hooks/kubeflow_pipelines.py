"""``KubeflowPipelinesHook``: the client of Kubeflow Pipelines for tasks and notebooks of Airflow."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.credentials import ConnectionFields, parse_connection
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry, RecurringRuns
from airflow_provider_mlx.exceptions import MlxError

from .kubeflow_pipelines_fields import CONNECTION_TYPE, FIELDS, HIDDEN, HOOK_NAME, PLACEHOLDERS, RELABELING

T = TypeVar("T")


class KubeflowPipelinesHook(BaseHook):
    """
    A server of Kubeflow Pipelines, by an Airflow connection.

    :param kubeflow_pipelines_conn_id: the connection, of type ``kubeflow_pipelines``.
    :param namespace: of a profile, on a multi-user server; by default the connection's.

    Runs, experiments and the server's health are verbs of :meth:`get_conn`; what is registered is in
    :attr:`pipelines`, and schedules are in :attr:`recurring_runs`. Each raises what it says, all of them classes of
    ``airflow_provider_mlx.exceptions``. An operator of ours sees a run to its end; with the hook that is yours to do.
    """

    conn_name_attr: ClassVar[str] = "kubeflow_pipelines_conn_id"
    default_conn_name: ClassVar[str] = "kubeflow_pipelines_default"
    conn_type: ClassVar[str] = CONNECTION_TYPE
    hook_name: ClassVar[str] = HOOK_NAME

    def __init__(self, kubeflow_pipelines_conn_id: str = default_conn_name, *, namespace: str | None = None) -> None:
        super().__init__()
        self.kubeflow_pipelines_conn_id = kubeflow_pipelines_conn_id
        self._namespace = namespace
        self._client: KubeflowPipelinesClient | None = None
        self._async_client: KubeflowPipelinesClient | None = None

    # --- the connection's form -----------------------------------------------------------------------------------

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The extra fields, for Airflow below 3.2: newer ones read them from the provider's description."""
        look: Any = importlib.import_module("flask_appbuilder.fieldwidgets")
        forms: Any = importlib.import_module("wtforms")

        def widget(field: Mapping[str, Any]) -> Any:
            schema, said = field["schema"], {"description": field.get("description", "")}
            if schema.get("format") == "password":
                return forms.PasswordField(field["label"], widget=look.BS3PasswordFieldWidget(), **said)
            many_lines = schema.get("format") == "multiline"
            shown = look.BS3TextAreaFieldWidget() if many_lines else look.BS3TextFieldWidget()
            return forms.StringField(field["label"], widget=shown, default=schema.get("default"), **said)

        return {name: widget(field) for name, field in FIELDS.items()}

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection's own fields, for Airflow below 3.2."""
        return {
            "hidden_fields": list(HIDDEN),
            "relabeling": dict(RELABELING),
            "placeholders": dict(PLACEHOLDERS),
        }

    def test_connection(self) -> tuple[bool, str]:
        """Whether there is a server, and whether it takes the credentials; what the connection form's button asks."""
        try:
            client = self.get_conn()
            health = client.health()
            many = bool(health.get("multi_user"))
            if many and not client.namespace:  # nothing of a user's can be listed
                client.transport.get("/pipelines", page_size=1)
            else:
                next(client.list_runs(page_size=1), None)
        except (MlxError, AirflowNotFoundException) as error:
            return False, str(error)
        finally:
            self.close()
        release = health.get("tag_name") or "of a release that it does not tell"
        told = f"Kubeflow Pipelines {release}, {'multi-user' if many else 'single-user'}"
        return True, told + (f", namespace `{client.namespace}`" if client.namespace else "")

    # --- clients -------------------------------------------------------------------------------------------------

    def get_conn(self) -> KubeflowPipelinesClient:
        """
        The client; when its credentials are refused it reads the connection again.

        :raises JobMisconfigured: the connection cannot be used.
        """
        if self._client is None:
            self._client = self._client_of(self.get_connection)
        return self._client

    @property
    def pipelines(self) -> PipelineRegistry:
        """What is registered: pipelines and their versions."""
        return PipelineRegistry(self.get_conn())

    @property
    def recurring_runs(self) -> RecurringRuns:
        """Schedules of the server's own."""
        return RecurringRuns(self.get_conn())

    async def acall(self, act: Callable[[KubeflowPipelinesClient], T]) -> T:
        """
        Do something with a client, off the event loop: ``await hook.acall(lambda client: client.find_run(run_id))``.

        It is the client that everything else uses, in a thread, and no second one for coroutines: a call is a round
        trip to a server, and what may be asked twice must not be written twice. Connections are read on the loop,
        where nothing may block, and again after a refusal.

        :raises ConnectionRefused: the credentials are not taken; and what ``act`` raises.
        """
        if self._async_client is None:
            read = await self._connections()
            self._async_client = self._client_of(read.__getitem__)
        try:
            return await asyncio.to_thread(act, self._async_client)
        except ConnectionRefused:
            self._async_client = None  # not closed: another call may be using it
            raise

    def close(self) -> None:
        """Close what is open; the next call opens it again."""
        opened, self._client, self._async_client = (self._client, self._async_client), None, None
        for client in opened:
            if client is not None:
                client.close()

    # --- parts ---------------------------------------------------------------------------------------------------

    def _client_of(self, read: Callable[[str], Any]) -> KubeflowPipelinesClient:
        def fields() -> ConnectionFields:
            return parse_connection(read(self.kubeflow_pipelines_conn_id))

        namespace = self._namespace if self._namespace is not None else fields().namespace
        return KubeflowPipelinesClient(lambda: fields().access(read), namespace=namespace)

    async def _connections(self) -> dict[str, Any]:
        """The connection, and the one to Kubernetes that it names."""
        connection = await get_async_connection(self.kubeflow_pipelines_conn_id)
        read = {self.kubeflow_pipelines_conn_id: connection}
        if other := parse_connection(connection).kubernetes_conn_id:
            read[other] = await get_async_connection(other)
        return read
