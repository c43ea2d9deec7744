"""``gc``: removes what old attempts left; ``maintenance/garbage.py`` says what may go."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.exceptions import InvalidStep, MlxError, first_line
from airflow_provider_mlx.jobs.ledger import utc_now
from airflow_provider_mlx.lineage.root_spool import SPOOL_FOLDER
from airflow_provider_mlx.maintenance.garbage import (
    GRACE,
    OVER,
    Keep,
    RunPlan,
    gone_tasks,
    is_old,
    is_stale,
    plan_run,
    unused_bundles,
)
from airflow_provider_mlx.maintenance.listing import RunFolder
from airflow_provider_mlx.runtime.addresses import file_path
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.identity import path_segment

from .ledger_view import LedgerView, view_of
from .local_garbage import old_folders, work_dirs
from .output import Answer, columns, readable_size
from .places import Scene, places, scene_of
from .task_states import RunStates


@dataclass(frozen=True)
class Item:
    """
    One thing that may go.

    :param why: why it stays, empty where it may go.
    :param done: what was done, empty without ``--apply``.
    """

    kind: str
    name: str
    size: int
    why: str = ""
    done: str = ""


def run_gc(arguments: argparse.Namespace, states: RunStates | None = None, now: datetime | None = None) -> Answer:
    """
    Look for garbage, and remove it with ``--apply``.

    :param states: how Airflow is asked, by default as it can be asked here.
    """
    if min(arguments.keep_days, arguments.keep_failed_days) < 1:
        raise InvalidStep("attempts are kept for a day at least", remedy="give `--keep-days` a number from 1")
    scene, now = scene_of(None), now or utc_now()
    keep = Keep(timedelta(days=arguments.keep_days), timedelta(days=arguments.keep_failed_days))
    items: list[Item] = []
    unread: list[str] = []
    views: list[LedgerView] = []
    for place in places(scene, arguments):
        try:
            view = view_of(place, arguments.deployment or scene.deployment, all_gone=arguments.all_gone, states=states)
            views.append(view)
            items += of_root(view, keep, now, apply=arguments.apply)
            items += unsent_lineage(view, keep, now, apply=arguments.apply)
        except MlxError as error:
            unread.append(f"{place.artifacts.root} ({place.why}) cannot be looked after: {first_line(error)}")
    items += of_this_machine(scene, views, keep, now, apply=arguments.apply)
    failed = bool(unread) or any(item.done.startswith("not ") for item in items)
    if arguments.json:
        return Answer(json.dumps({"items": [asdict(item) for item in items], "unread": unread}, indent=1), failed)
    return Answer("\n".join([*_table(items, applied=arguments.apply), *unread]), failed)


def of_root(view: LedgerView, keep: Keep, now: datetime, *, apply: bool) -> Iterable[Item]:
    """One artifact root's garbage: attempts first, then the bundles that the others do not need."""
    plans = [_plan(view, run, keep, now) for run in view.ours if is_old(run, keep, now)]
    for plan in plans:
        done = _delete(view, plan.remove, plan.run.uri) if apply and plan.remove else ""
        yield Item("run", plan.run.uri, plan.size, plan.why, done)
    stale = [facts for facts in view.store.list(join(view.root, "bundles")) if is_stale(facts, now)]
    if not stale:
        return
    runs = view.list_again()  # as late as can be: a step that has recorded its attempt meanwhile keeps its bundle
    given_up = {item.uri for plan in plans for item in plan.run.attempts if item not in plan.kept}
    kept = [item for run in runs for item in run.attempts if item.uri not in given_up]
    unused, why = unused_bundles(stale, used=map(view.bundle_of, kept), runs=runs, now=now)
    if why:
        yield Item("bundles", join(view.root, "bundles"), 0, why)
    for bundle in unused:
        yield Item("bundle", bundle.uri, bundle.size, "", _delete_bundle(view, bundle, now) if apply else "")


def unsent_lineage(view: LedgerView, keep: Keep, now: datetime, *, apply: bool) -> Iterable[Item]:
    """Events that nobody has taken for as long as results are kept."""
    for facts in view.store.list(join(view.root, SPOOL_FOLDER, path_segment(view.deployment))):
        if facts.modified is not None and now - facts.modified >= keep.results:
            done = _delete(view, [facts], facts.uri) if apply else ""
            yield Item("lineage event", facts.uri, facts.size, "", done)


def _plan(view: LedgerView, run: RunFolder, keep: Keep, now: datetime) -> RunPlan:
    states = view.states_of(run)
    return plan_run(
        run, states, gone=gone_tasks(run, states or {}), keep=keep, now=now, knows=bool(states) or view.knows_runs
    )


def _delete(view: LedgerView, objects: Iterable[ObjectFacts], folder: str) -> str:
    try:
        for facts in objects:
            view.store.delete(facts.uri)
    except MlxError as error:
        return f"not all removed: {first_line(error)}"
    _remove_empty(folder)
    return "removed"


def _delete_bundle(view: LedgerView, bundle: ObjectFacts, now: datetime) -> str:
    """Look once more: a step that found it meanwhile has renewed it."""
    try:
        facts = view.store.facts(bundle.uri)
        if facts is None or not is_stale(facts, now):
            return "left: a step has just used it"
        view.store.delete(bundle.uri)
    except MlxError as error:
        return f"not removed: {first_line(error)}"
    return "removed"


def _remove_empty(folder: str) -> None:
    """A file system keeps folders whose files are gone; one that has something again stays."""
    path = file_path(folder) if folder.startswith("file:") else None
    if path is None or not path.is_dir():
        return
    for inner in sorted((item for item in path.rglob("*") if item.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        path.rmdir()


def of_this_machine(scene: Scene, views: list[LedgerView], keep: Keep, now: datetime, *, apply: bool) -> Iterable[Item]:
    """Folders of local jobs and environments on this machine."""

    def is_needed(outputs: str) -> bool:
        return _may_be_taken_up(views, outputs)

    for work_dir in work_dirs(scene):
        for folder in old_folders(work_dir, keep=max(keep.failures, GRACE), now=now, is_needed=is_needed):
            done = ("removed" if folder.remove() else "left: a local job is active") if apply else ""
            yield Item(folder.kind, str(folder.path), folder.size, "", done)


def _may_be_taken_up(views: list[LedgerView], outputs: str) -> bool:
    """Whether a task may still adopt or collect the attempt of a local job: it is not over, or nobody can say."""
    for view in views:
        for run in view.ours:
            if outputs.startswith(f"{run.uri}/"):
                states: Mapping[str, str] | None = view.states_of(run)
                return states is None or any(state not in OVER for state in states.values())
    return False


def _table(items: list[Item], *, applied: bool) -> list[str]:
    going = [item for item in items if not item.why]
    staying = [item for item in items if item.why]
    lines = columns([(item.kind, readable_size(item.size), item.done, item.name) for item in going])
    if staying:
        lines += ["", "kept, though old:", *columns([("  " + item.kind, item.name, item.why) for item in staying])]
    total = readable_size(sum(item.size for item in going))
    if not going:
        return [*lines, "nothing may be removed"]
    return [*lines, f"removed {total}" if applied else f"nothing was changed; `--apply` frees {total}"]
