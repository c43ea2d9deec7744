"""
Everything that is asked of Airflow's OpenLineage provider, all of it lazily: without it, one look at its configuration.

``api.emit`` logs a failed delivery and returns, so it cannot tell us to keep the event. The provider's adapter takes a
client, though: ours passes on to the provider's own and remembers what that raised. Masking, metrics and transport are
the provider's.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .names import RunName, job_name, run_id, step_name

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from .events import ChildRun
    from .port import Marks, StepLineage
    from .spool import ReplayReport

SPOOL_FOLDER: Final = "lineage-spool"
"""In ``[mlx] local_root``."""


def step_lineage(
    operator: Any, context: Mapping[str, Any], *, identity: TaskInstanceIdentity, store: Marks, spool: Path
) -> StepLineage | None:
    """
    What tells OpenLineage about this step; ``None`` where nothing is to be told. Never raises an ``Exception``.

    :param store: of the artifact root.
    :param spool: where events are kept that cannot be sent.
    """
    ti = context["ti"]
    if not is_active(operator, ti.dag_id, ti.task_id):
        return None
    try:
        from .emitter import SafeEmitter
        from .port import StepLineage
        from .spool import Spool

        def say(line: str) -> None:
            operator.log.warning("mlx: %s", line)

        return StepLineage(
            emitter=SafeEmitter(send, spool=Spool(spool), say=say),
            marks=store,
            child=lambda attempt, by, step: child_run(context, identity, step, attempt=attempt, try_number=by),
            task=(ti.dag_id, ti.task_id),
            try_number=ti.try_number,
            resources=getattr(operator, "step_resources", None),
            image=getattr(operator, "image", None),
            mask=mask_text,
        )
    except Exception as error:
        operator.log.warning("mlx: lineage cannot be told: %s", type(error).__name__)
        return None


def is_active(operator: Any, dag_id: str, task_id: str) -> bool:
    """Whether OpenLineage has a transport and its listener, and the emission policy lets this task's events out."""
    try:
        from airflow.providers.openlineage import conf

        if conf.is_disabled():
            return False
        from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

        return get_openlineage_listener() is not None and _allowed(operator, dag_id, task_id)
    except Exception:  # not installed, or configured so that it cannot work: it says so itself
        return False


def _allowed(operator: Any, dag_id: str, task_id: str) -> bool:
    try:
        from airflow.providers.openlineage.utils.emission_policy import resolve_task_emission_policy
    except ImportError:  # before 2.19
        from airflow.providers.openlineage.utils.utils import is_operator_disabled, is_selective_lineage_enabled

        return not is_operator_disabled(operator) and is_selective_lineage_enabled(operator)
    policy = resolve_task_emission_policy(operator=operator, dag_id=dag_id, task_id=task_id)
    # Of a child run nothing is left without its metadata.
    return bool(policy.emit and policy.extract_operator_metadata)


def child_run(
    context: Mapping[str, Any], identity: TaskInstanceIdentity, step: str, *, attempt: int, try_number: int
) -> ChildRun:
    """
    Who the run of an attempt is: named below the task run of the try that submitted it, whoever watches it now.

    The root is the DAG run, or what the run's ``conf`` says started it.

    :param step: its name (:func:`~airflow_provider_mlx.lineage.names.step_name`).
    :param try_number: the submitting one.
    """
    macros: Any = importlib.import_module("airflow.providers.openlineage.plugins.macros")
    from .events import ChildRun

    ti, dag_run = context["ti"], context["dag_run"]
    instant = getattr(dag_run, "logical_date", None) or getattr(dag_run, "run_after", None) or ti.execution_date
    of_try: Any = SimpleNamespace(
        dag_id=ti.dag_id, task_id=ti.task_id, map_index=ti.map_index, try_number=try_number, dag_run=dag_run,
        logical_date=instant, execution_date=instant, get_template_context=lambda: {"dag_run": dag_run},
    )  # fmt: skip
    namespace = macros.lineage_job_namespace()
    root = None
    if hasattr(macros, "lineage_root_run_id"):
        root = RunName(
            getattr(macros, "lineage_root_job_namespace", lambda _: namespace)(of_try),
            macros.lineage_root_job_name(of_try), macros.lineage_root_run_id(of_try),
        )  # fmt: skip
    return ChildRun(
        run=RunName(namespace, job_name(ti.dag_id, ti.task_id, step),
                    run_id(namespace, identity, attempt, instant)),
        parent=RunName(namespace, macros.lineage_job_name(of_try), macros.lineage_run_id(of_try)),
        root=root,
    )  # fmt: skip


def job_context(
    operator: Any, context: Mapping[str, Any], identity: TaskInstanceIdentity, payload: Mapping[str, Any] | None, *,
    attempt: int,
) -> str:  # fmt: skip
    """:func:`parent_context` of an attempt that this try submits; empty where nothing is to be told."""
    ti = context["ti"]
    if payload is None or not is_active(operator, ti.dag_id, ti.task_id):
        return ""
    try:
        child = child_run(context, identity, step_name(payload), attempt=attempt, try_number=ti.try_number)
    except Exception:  # a context without what the ids need: `step_lineage` says so
        return ""
    return parent_context(child)


def parent_context(child: ChildRun) -> str:
    """
    ``OPENLINEAGE_CONTEXT`` for a job: what runs OpenLineage inside it (Spark, dbt) becomes a child of the job's run.

    JSON, without a transport and so without a credential.
    """
    root = child.root or child.parent
    return json.dumps({
        "parent": {
            "run": {"runId": child.run.run_id},
            "job": {"namespace": child.run.namespace, "name": child.run.job},
            "root": {"run": {"runId": root.run_id}, "job": {"namespace": root.namespace, "name": root.job}},
        }
    })  # fmt: skip


class _Observed:
    """The provider's client, and what it raised: the adapter that calls it keeps that to itself."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.transport = client.transport
        self.error: Exception | None = None

    def emit(self, event: Any) -> None:
        try:
            self._client.emit(event)
        except Exception as error:
            self.error = error
            raise


def send(event: RunEvent) -> None:
    """
    Deliver one event as the provider does: its masking, its metrics, its transport.

    :raises Exception: whatever the transport raised.
    """
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
    from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

    observed: Any = _Observed(get_openlineage_listener().adapter.get_or_create_openlineage_client())
    OpenLineageAdapter(client=observed).emit(event)
    if observed.error is not None:
        raise observed.error


def mask_text(text: str) -> str:
    """A text in which Airflow's known secrets are masked."""
    from airflow.providers.common.compat.sdk import redact

    return str(redact(text))


def replay_spool(folder: Path, emit: Callable[[Mapping[str, Any]], None] | None = None) -> ReplayReport:
    """
    Send what a worker's spool holds.

    :param emit: delivers one event as plain JSON and raises if it did not; by default through Airflow's transport.
    """
    from .spool import replay

    return replay(folder, emit or send_document)


def send_document(event: Mapping[str, Any]) -> None:
    """
    Deliver an event from the spool. Its texts were scrubbed and masked before they were kept.

    :raises Exception: whatever the transport raised; ``KeyError`` and ``TypeError`` for what is no event.
    """
    send(from_document(event))


def from_document(event: Mapping[str, Any]) -> RunEvent:
    """An event as the client's classes; facets stay plain JSON, but for the parent, which transports look into."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import parent_run

    facets: dict[str, Any] = dict(event["run"].get("facets") or {})
    if "parent" in facets:
        given = facets["parent"]
        top = given.get("root")
        root = top and parent_run.Root(parent_run.RootRun(**top["run"]), parent_run.RootJob(**_named(top["job"])))
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(**given["run"]), job=parent_run.Job(**_named(given["job"])), root=root or None,
            producer=given.get("_producer", ""),
        )  # fmt: skip

    def dataset(kind: Any, side: str, given: Mapping[str, Any]) -> Any:
        return kind(
            given["namespace"], given["name"], facets=given.get("facets") or {}, **{side: given.get(side) or {}}
        )

    return RunEvent(
        eventType=RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=Run(event["run"]["runId"], facets),
        job=Job(event["job"]["namespace"], event["job"]["name"], event["job"].get("facets") or {}),
        inputs=[dataset(InputDataset, "inputFacets", item) for item in event.get("inputs") or ()],
        outputs=[dataset(OutputDataset, "outputFacets", item) for item in event.get("outputs") or ()],
        producer=event.get("producer", ""),
    )


def _named(job: Mapping[str, Any]) -> dict[str, Any]:
    return {"namespace": job["namespace"], "name": job["name"]}
