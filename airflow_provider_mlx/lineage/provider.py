"""
Everything that is asked of Airflow's OpenLineage provider, all of it lazily: without it, one look at its configuration.

``api.emit`` logs a failed delivery and returns, so it cannot tell us to keep the event. The provider's adapter takes a
client, though: ours passes on to the provider's own and remembers what that raised. Masking, metrics and transport are
the provider's.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .names import RunName, job_name, run_id, step_name
from .replaying import Place, ReplayReport, replay
from .root_spool import SPOOL_FOLDER, Objects, RootSpool

__all__ = [
    "SPOOL_FOLDER", "bundle_of", "child_run", "has_transport", "is_active", "job_context", "late_lineage",
    "parent_context", "replay_spools", "send", "send_document", "step_lineage",
]  # fmt: skip

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from .code import Bundle
    from .events import ChildRun
    from .port import Marks, StepLineage

    class ArtifactRoot(Marks, Objects, Protocol):
        """What lineage asks of the artifact root's store."""


def step_lineage(
    operator: Any, context: Mapping[str, Any], *, identity: TaskInstanceIdentity, store: ArtifactRoot, root: str,
    spool: Path,
) -> StepLineage | None:  # fmt: skip
    """
    What tells OpenLineage about this step; ``None`` where nothing is to be told. Never raises an ``Exception``.

    :param root: the artifact root, which ``store`` opens: where events are kept that cannot be sent.
    :param spool: where they are kept if the root gives no answer.
    """
    ti = context["ti"]
    if not is_active(operator, ti.dag_id, ti.task_id):
        return None
    try:
        from .code import CodeFacts, code_of
        from .emitter import SafeEmitter
        from .port import StepLineage
        from .spool import Spool

        def say(line: str) -> None:
            operator.log.warning("mlx: %s", line)

        dag = context.get("dag")

        return StepLineage(
            emitter=SafeEmitter(send, spool=Spool(spool), root=RootSpool(store, root, identity.deployment_id), say=say),
            marks=store,
            child=lambda attempt, by, step: child_run(context, identity, step, attempt=attempt, try_number=by),
            task=(ti.dag_id, ti.task_id),
            try_number=ti.try_number,
            resources=getattr(operator, "step_resources", None),
            image=getattr(operator, "image", None),
            code=lambda: code_of(dag.fileloc, bundle_of(ti)) if dag else CodeFacts(),
            mask=mask_text,
        )
    except Exception as error:
        operator.log.warning("mlx: lineage cannot be told: %s", type(error).__name__)
        return None


def late_lineage(
    identity: TaskInstanceIdentity, *, store: ArtifactRoot, root: str, spool: Path, ended: datetime,
    say: Callable[[str], None],
) -> StepLineage | None:  # fmt: skip
    """
    What tells the end of an attempt whose task is over and has not told it; ``None`` without a transport.

    Who the run is stands in what was told at its start, after the emission policy was asked.

    :param ended: when it was over at the latest, where the job itself does not say so.
    """
    if not has_transport():
        return None
    from .emitter import SafeEmitter
    from .port import StepLineage
    from .spool import Spool

    def unknown(attempt: int, try_number: int, step: str) -> ChildRun:
        raise LookupError("what was told at its start cannot be read")

    return StepLineage(
        emitter=SafeEmitter(send, spool=Spool(spool), root=RootSpool(store, root, identity.deployment_id), say=say),
        marks=store, child=unknown,
        task=(identity.dag_id, identity.task_id), try_number=None, now=lambda: ended, mask=mask_text,
    )  # fmt: skip


def has_transport() -> bool:
    """Whether OpenLineage has a transport and its listener."""
    try:
        from airflow.providers.openlineage import conf

        if conf.is_disabled():
            return False
        from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

        return get_openlineage_listener() is not None
    except Exception:  # not installed, or configured so that it cannot work: it says so itself
        return False


def is_active(operator: Any, dag_id: str, task_id: str) -> bool:
    """Whether OpenLineage has a transport, and the emission policy lets this task's events out."""
    try:
        return has_transport() and _allowed(operator, dag_id, task_id)
    except Exception:  # a policy that cannot be read: the provider says so itself
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


def bundle_of(ti: Any) -> Bundle | None:
    """The DAG bundle that a task's file comes from (Airflow 3), and where it says that its source is shown."""
    from .code import Bundle

    instance: Any = getattr(ti, "bundle_instance", None)
    name, version = getattr(instance, "name", None), getattr(instance, "version", None)
    if name is None:
        return None
    url = None
    with suppress(Exception):  # whatever a bundle's own code raises
        url = instance.view_url_template() if hasattr(instance, "view_url_template") else None
        url = url.format(version=version, subdir=getattr(instance, "subdir", None) or "") if url and version else None
    return Bundle(str(name), str(version or ""), url or "")


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


def replay_spools(places: Iterable[Place], emit: Callable[[Mapping[str, Any]], None] | None = None) -> ReplayReport:
    """
    Send what is kept.

    :param emit: delivers one event as plain JSON and raises if it did not; by default through Airflow's transport.
    """
    return replay(places, emit or send_document)


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
