"""What a step needs to know of the Airflow that runs it: settings, stacks, identity, and this try's facts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.backends.registry import InstalledSettings
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep
from airflow_provider_mlx.jobs.plan import PlanningOptions
from airflow_provider_mlx.jobs.ports import Ports, TryFacts
from airflow_provider_mlx.links.step import FOLDER_LINK, JOB_LINK
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.settings import Settings, read_settings
from airflow_provider_mlx.stacks import PARAM_NAME, Stacks, declared_stack_param, load_stacks, resolve_stack_name
from airflow_provider_mlx.step.identity import NO_DEPLOYMENT, TaskInstanceIdentity, path_segment
from airflow_provider_mlx.version_compat import AirflowTaskTimeout, bundle_root, is_dag_test, log_about, task_state


def identity_of(ti: Any, settings: Settings) -> TaskInstanceIdentity:
    """Who this task instance is."""
    return TaskInstanceIdentity(
        deployment_id=settings.deployment_id or NO_DEPLOYMENT,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
    )


def facts_of(context: Mapping[str, Any]) -> TryFacts:
    """Airflow's facts about this try."""
    ti = context["ti"]
    dag_run = context.get("dag_run")
    started = getattr(dag_run, "start_date", None)
    return TryFacts(
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        tries_left=bool(ti.task.retries) and ti.try_number <= ti.max_tries,
        ti_id=str(getattr(ti, "id", "") or ""),
        run_started=started.isoformat() if started else "",
        run_cleared=getattr(dag_run, "clear_number", None) or 0,
    )


def ports_for(
    context: Mapping[str, Any],
    *,
    log: Any,
    killed: threading.Event,
    folder_url: Callable[[int], str | None] = lambda attempt: None,
) -> Ports:
    """
    The life of a job's effects, through Airflow.

    :param folder_url: the page of an attempt's folder in the artifact store's console, if it has one.
    """
    ti, ours = context["ti"], log

    def publish(key: str, url: str | None) -> None:
        if url:
            ti.task.link_urls[key] = url
            ti.xcom_push(key=key, value=url)

    def identify(backend: str, job: str, attempt: int) -> None:
        nonlocal ours
        ours = log_about(log, mlx_backend=backend, mlx_job=job, mlx_attempt=attempt)
        publish(FOLDER_LINK, folder_url(attempt))

    return Ports(
        show=lambda line: log.info("%s", line),
        say=lambda line: ours.info("mlx: %s", line),
        task_state=lambda: task_state(ti),
        publish_link=lambda url: publish(JOB_LINK, url),
        identify=identify,
        count=lambda name, tags: Stats.incr(name, tags=dict(tags)),
        is_timeout=lambda error: isinstance(error, AirflowTaskTimeout),
        killed=killed,
    )


def options_for(context: Mapping[str, Any], settings: Settings, stacks: Stacks) -> PlanningOptions:
    """What a plan depends on besides the stack."""
    task = context["ti"].task
    return PlanningOptions(
        deployment_id=settings.deployment_id,
        inline_bytes=settings.inline_bytes,
        heartbeat_seconds=settings.heartbeat_seconds,
        local_allowed=local_allowed(settings),
        local_work_dir=str(settings.local_root / "local"),
        pool=task.pool,
        execution_timeout=task.execution_timeout,
        policy=stacks.policy,
        page=getattr(context["ti"], "log_url", "") or "",
    )


def local_allowed(settings: Settings) -> bool:
    """Whether steps may run as processes of this worker."""
    return settings.allow_local == "true" or (settings.allow_local == "auto" and is_dag_test())


def read_stacks(settings: Settings, *, dag_file: str | None, root: str | None) -> Stacks:
    """
    The stacks that a DAG file sees.

    :raises InvalidStep: anything is wrong in any of the files.
    """
    return load_stacks(
        deployment_files=settings.stacks_files,
        dag_file=dag_file,
        bundle_root=root,
        bundle_stacks="allow" if settings.bundle_stacks == "allow" else "deny",
        backend_settings=InstalledSettings(),
        local_root=settings.local_root.absolute().as_uri(),
    )


def stack_choice(
    stacks: Stacks, settings: Settings, *, step: str | None, declared: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[str, str]:
    """
    The stack's name, and why.

    :param declared: the DAG's own params; an undeclared ``mlx_stack`` in a run's conf does nothing.
    :param params: the run's values.
    """
    run_param = declared_stack_param(declared, params.get(PARAM_NAME))
    return resolve_stack_name(step, run_param, settings.stack, stacks.default)


class ArtifactAccess(NamedTuple):
    """The artifact root of a stack, opened, and the gate before it."""

    root: str
    store: ObjectStore
    gate: Gate


def artifact_access(stack: str | None) -> ArtifactAccess:
    """
    What ``Artifact`` needs in a plain task.

    :param stack: the stack's name; by default the one that this run uses.
    """
    settings = read_settings()
    context = current_context()
    dag = context.get("dag")
    stacks = read_stacks(settings, dag_file=getattr(dag, "fileloc", None), root=bundle_root(context.get("ti")))
    name, _ = stack_choice(
        stacks, settings, step=stack, declared=dict(getattr(dag, "params", None) or {}),
        params=dict(context.get("params") or {}),
    )  # fmt: skip
    artifacts = stacks.stack(name).artifacts
    store = open_store(artifacts.root, artifacts.conn_id)
    return ArtifactAccess(artifacts.root, store, Gate((artifacts.root, *artifacts.allowed)))


def place_to_save(root: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """
    The folder of a value that the running task saves, and the task instance as references name it.

    :raises ArtifactError: no task runs here.
    """
    ti = current_context().get("ti")
    if ti is None:
        raise ArtifactError(
            "an artifact can be saved by a running task only: its reference says which one made it",
            remedy="call `Artifact.save` in the task's function, or write the file yourself and pass a `Dataset`",
        )
    identity = identity_of(ti, read_settings())
    folder = join(root, identity.folder, f"saved-{ti.try_number}", path_segment(name))
    step = identity.step(try_number=ti.try_number, attempt=ti.try_number)
    keys = ("deployment_id", "dag_id", "run_id", "task_id", "map_index", "attempt")
    return folder, {key: step[key] for key in keys}  # type: ignore[literal-required]


def current_context() -> Mapping[str, Any]:
    """The running task's context; empty outside a task, as in a notebook."""
    from airflow.providers.common.compat.sdk import get_current_context

    try:
        context: Mapping[str, Any] = get_current_context()
    except RuntimeError:
        return {}
    return context


def refuse_unknown_section(names: Mapping[str, Any]) -> None:
    """
    Refuse a section of overrides that is not one of a backend.

    :raises InvalidStep: it is not a mapping.
    """
    for name, section in names.items():
        if not isinstance(section, Mapping):
            raise InvalidStep(f"`overrides` must map a backend's name to its settings; `{name}` is {section!r}")
