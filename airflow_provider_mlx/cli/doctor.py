"""``doctor``: what steps need of this Airflow, looked at line by line; ``doctor_checks.py`` has the judgements."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from importlib.metadata import distributions
from typing import Final

from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, MlxError, first_line
from airflow_provider_mlx.operators.job import MlxJobOperator
from airflow_provider_mlx.runtime.requirements import normal_name
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.settings import read_lineage_settings
from airflow_provider_mlx.stacks import Stack, Stacks

from . import doctor_checks as checks
from .airflow_facts import connection_exists, lineage_transport, pools, triggerer_is_alive
from .doctor_checks import Check, Status
from .doctor_clusters import look_at_clusters
from .doctor_sagemaker import look_at_sagemaker
from .lineage_checks import lineage
from .output import Answer, columns
from .places import Place, Scene, problems_of, scene_of

Look = Callable[[Scene, list[Stack]], Iterable[Check]]


def run_doctor(arguments: argparse.Namespace) -> Answer:
    """Look at everything."""
    try:
        scene = scene_of(arguments.dag)
        chosen = _chosen(scene.stacks, arguments.stack)
    except InvalidStep as error:
        found = [Check(Status.FAIL, "stacks", problem.what, problem.remedy) for problem in problems_of(error)]
        return _answer([*_packages(None, []), *found], arguments.json)
    return _answer(examine(scene, chosen), arguments.json)


def examine(scene: Scene, chosen: list[Stack]) -> list[Check]:
    """Every look at these stacks."""
    return [check for look in LOOKS for check in _safely(look, scene, chosen)]


def _safely(look: Look, scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    """A look that cannot be taken is said, and the others are taken."""
    try:
        yield from look(scene, chosen)
    except Exception as error:
        name = look.__name__.strip("_").replace("_", " ")
        yield Check(Status.UNKNOWN, name, f"{type(error).__name__}: {first_line(error)}", "look at the error")


def _chosen(stacks: Stacks, name: str | None) -> list[Stack]:
    return [stacks.stack(name)] if name else [stack for stack in stacks.stacks.values() if not stack.incomplete]


# --- the looks -------------------------------------------------------------------------------------------------------


def _packages(scene: Scene | None, chosen: list[Stack]) -> Iterator[Check]:
    installed = {normal_name(item.metadata["Name"]): item.version for item in distributions() if item.metadata["Name"]}
    yield from checks.versions(installed, python=sys.version_info[:3])
    yield from checks.conflicts(installed)


def _stack_files(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    yield from checks.stack_files(scene.stacks, chosen)
    for error in scene.import_errors:
        yield Check(Status.WARN, "DAG files", error, "mend the file")


def _settings(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    needing = [name for name in checks.backends_of(chosen) if _flag(name, "needs_deployment_id")]
    yield checks.deployment_id(scene.settings.deployment_id, needing)
    yield checks.allow_local(scene.settings.allow_local, "local" in checks.backends_of(chosen))


def _connections(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    for conn_id, users in checks.connections_of(chosen).items():
        yield checks.connection(conn_id, users, connection_exists(conn_id))


def _clusters(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    yield from look_at_clusters(chosen)


def _accounts(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    yield from look_at_sagemaker(chosen)


def _stores(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    roots: dict[str, Place] = {}
    for stack in chosen:
        roots.setdefault(stack.artifacts.root, Place(stack.artifacts, stack.name, ""))
    for place in roots.values():
        yield probe(place)


def _triggerer(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    deferring = [name for name in checks.backends_of(chosen) if _flag(name, "defers")]
    yield checks.triggerer(deferring, triggerer_is_alive() if deferring else None)


def _pools(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    required = {rule.pool: f"the policy `{rule.pattern}` ({rule.where})" for rule in scene.stacks.policy if rule.pool}
    tasks = [task for task in getattr(scene.dag, "tasks", ()) if isinstance(task, MlxJobOperator)]
    defers = any(_flag(name, "defers") for name in checks.backends_of(chosen))
    used = {task.pool: f"the step `{task.task_id}`" for task in tasks if defers}
    yield from checks.pools(required, used, pools() if required or used else {})


def _lineage(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    settings = read_lineage_settings()
    transport, elsewhere, in_thread = lineage_transport()
    yield from lineage(
        transport, store=settings.store, token=settings.token, in_thread=in_thread, elsewhere=elsewhere
    )  # fmt: skip


def _disk(scene: Scene, chosen: list[Stack]) -> Iterator[Check]:
    folder = scene.settings.local_root.absolute()
    while not folder.exists():
        folder = folder.parent
    yield checks.disk(scene.settings.local_root, shutil.disk_usage(folder).free)


LOOKS: Final[tuple[Look, ...]] = (
    _packages, _stack_files, _settings, _connections, _stores, _clusters, _accounts, _triggerer, _pools, _lineage,
    _disk,
)  # fmt: skip


def probe(place: Place) -> Check:
    """Whether a store does what the ledger needs, tried with an object of our own that is removed again."""
    about, uri = f"store {place.artifacts.root}", join(place.artifacts.root, "doctor", secrets.token_hex(8))
    try:
        store = place.open()
        first, second = store.create(uri, b"mlx"), store.create(uri, b"other")
        listed = any(facts.uri == uri for facts in store.list(join(place.artifacts.root, "doctor")))
        read = store.read(uri)
        found = checks.store(about, created=first, refused=not second, listed=listed, same=read == b"mlx")
    except BackendUnavailable as error:
        return Check(Status.FAIL, about, first_line(error), "check the network, the endpoint and the bucket's name")
    except MlxError as error:
        return Check(Status.FAIL, about, first_line(error), error.remedy)
    try:
        store.delete(uri)
    except MlxError as error:
        return replace(found, what=f"{found.what}; the probe {uri} could not be removed: {first_line(error)}")
    return found


def _flag(backend: str, name: str) -> bool:
    try:
        return bool(getattr(backend_class(backend), name))
    except (ImportError, MlxError):  # said by the stack's own refusal
        return False


# --- the answer ------------------------------------------------------------------------------------------------------


def _answer(found: list[Check], as_json: bool) -> Answer:
    status = int(any(check.status is Status.FAIL for check in found))
    if as_json:
        return Answer(
            json.dumps([{**asdict(check), "status": check.status.value} for check in found], indent=1), status
        )
    return Answer(as_text(found), status)


def as_text(found: list[Check]) -> str:
    """A line per check, then how many of each kind."""
    counts = {word: sum(check.status is word for check in found) for word in Status}
    rows = [(check.status.value, check.about, _text(check)) for check in found]
    said = ", ".join(f"{count} {word.value}" for word, count in counts.items() if count)
    return "\n".join([*columns(rows), "", said])


def _text(check: Check) -> str:
    return f"{check.what} → {check.mend}" if check.mend and check.status is not Status.OK else check.what
