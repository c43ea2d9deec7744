"""
A recurring run of Kubeflow Pipelines as a task wants it, and how the server is brought there.

The server gives a recurring run its id, lets names repeat, and changes none but to switch it on or off. So ours are
known by their name and by a digest of what they were made from, which stands in the description.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.names import described, digest_in
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import RecurringRuns, cron_trigger, periodic_trigger
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, JobConflict, Problem
from airflow_provider_mlx.stacks.durations import parse_duration
from airflow_provider_mlx.step.spec import request_digest

MOST_AT_ONCE: Final = 10
"""``max_concurrency``; source: the swagger, and ``api_converter.go`` of the server."""
SETTLE_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
"""How long something is looked for whose creation was not answered, as for a run."""
_DESCRIPTOR: Final = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)")


@dataclass(frozen=True)
class Times:
    """
    When a task wants runs to start: by ``cron`` or by ``interval``.

    :param cron: five fields, six with seconds in front, or ``@daily`` and the like.
    :param interval: text for ``stacks.durations.parse_duration``.
    :param start: the first moment, ISO 8601 with its time zone; ``end`` the last one, likewise.
    """

    cron: str = ""
    interval: str = ""
    start: str = ""
    end: str = ""


def six_fields(cron: str) -> str | None:
    """
    A cron expression as the server reads it, with seconds; ``None`` if it is none.

    The server takes five fields too, and then the first of them is the *second*: of ``0 8 * * *`` it would make a run
    every hour. Source: ``cron.Parse`` of robfig/cron 1.2, where the day of the week may be left out.
    """
    text = " ".join(cron.split())
    if _DESCRIPTOR.fullmatch(text):
        return text
    fields = text.split(" ")
    return {5: f"0 {text}", 6: text}.get(len(fields))


def trigger_of(times: Times) -> tuple[dict[str, Any], list[Problem]]:
    """The trigger of a recurring run, and what is wrong with it; all at once."""
    problems: list[Problem] = []
    start, end = _moment(times.start, "start", problems), _moment(times.end, "end", problems)
    if start and end and end <= start:
        problems.append(Problem("it is not after `start`", "give a later one, or leave it out", "end"))
    if times.cron:
        cron = six_fields(times.cron)
        if cron is None:
            remedy = "write five fields, as `0 8 * * 1-5`, or six with seconds in front"
            return {}, [*problems, Problem(f"{times.cron!r} has another number of fields", remedy, "cron")]
        return cron_trigger(cron, start=start, end=end), problems
    try:
        interval = parse_duration(times.interval, field="interval")
    except InvalidStep as error:
        return {}, [*problems, *error.problems]
    if interval.total_seconds() < 1 or interval.microseconds:
        problems.append(Problem("it is not of whole seconds", "round it", "interval"))
    return periodic_trigger(interval, start=start, end=end), problems


def concurrency_of(given: int | str) -> tuple[str, list[Problem]]:
    """``max_concurrency`` as the API writes it, and what is wrong with it."""
    text = str(given).strip()
    if text.isdecimal() and 1 <= int(text) <= MOST_AT_ONCE:
        return str(int(text)), []
    remedy = f"give a whole number from 1 to {MOST_AT_ONCE}"
    return "", [Problem(f"{given!r} is no number of runs at once that a server takes", remedy, "max_concurrency")]


def ensure_recurring_run(
    runs: RecurringRuns,
    body: Mapping[str, Any],
    *,
    enabled: bool,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """
    Have exactly one recurring run of this name, made from this body; its id.

    An older one of the same name is replaced: the new one starts nothing before the old one is gone. A creation whose
    answer was lost is looked for, and two of the same become one.

    :param body: as :class:`RecurringRuns` takes it, without ``mode``; ``description`` is what people read.
    :param say: told what is done, a line at a time.
    :raises JobConflict: there is one of this name that no task of ours has made.
    :raises BackendUnavailable: it is not known whether it was made; the next try looks first.
    """
    name, digest = str(body["display_name"]), request_digest(body)
    there = _ours(runs, name)
    same = [one for one in there if digest_in(str(one.get("description") or "")) == digest]
    outdated = [one for one in there if one not in same]
    if not same:
        mode = "ENABLE" if enabled and not outdated else "DISABLE"
        marked = {**body, "mode": mode, "description": described(str(body.get("description") or ""), digest)}
        same = [_made(runs, marked, digest, sleep)]
        say(f"made the recurring run `{name}`, {same[0]['recurring_run_id']}")
    for one in (*outdated, *same[1:]):
        runs.delete(str(one["recurring_run_id"]))
        say(f"removed an older recurring run `{name}`, {one['recurring_run_id']}")
    kept = str(same[0]["recurring_run_id"])
    # the word in a list is the controller's, which is late
    (runs.enable if enabled else runs.disable)(kept)
    return kept


def remove_recurring_run(runs: RecurringRuns, name: str, *, say: Callable[[str], None]) -> None:
    """
    Have no recurring run of this name.

    :raises JobConflict: there is one of this name that no task of ours has made.
    """
    for one in _ours(runs, name):
        runs.delete(str(one["recurring_run_id"]))
        say(f"removed the recurring run `{name}`, {one['recurring_run_id']}")


def _ours(runs: RecurringRuns, name: str) -> list[dict[str, Any]]:
    """Those of this name that tasks have made, the oldest first."""
    found = [one for one in runs.list() if one.get("display_name") == name]
    foreign = [one for one in found if not digest_in(str(one.get("description") or ""))]
    if foreign:
        raise JobConflict(
            f"there is a recurring run `{name}` ({foreign[0].get('recurring_run_id')}) that no task has made",
            remedy="remove it in the page of Kubeflow Pipelines, or give this one another name",
        )
    return sorted(found, key=lambda one: (str(one.get("created_at") or ""), str(one["recurring_run_id"])))


def _made(runs: RecurringRuns, body: Mapping[str, Any], digest: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    try:
        return runs.create(body)
    except BackendUnavailable as error:
        for pause in SETTLE_SECONDS:
            sleep(pause)
            for one in _ours(runs, str(body["display_name"])):
                if digest_in(str(one.get("description") or "")) == digest:
                    return one
        raise BackendUnavailable(
            f"it is not known whether the recurring run `{body['display_name']}` was made; it is not there yet: {error}"
        ) from None


def _moment(text: str, field: str, problems: list[Problem]) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        problems.append(Problem(f"{text!r} is no time", "write it as 2026-11-23T08:00:00+01:00", field))
        return None
    if found.tzinfo is None:
        problems.append(Problem(f"{text!r} has no time zone", "add one, as +00:00", field))
        return None
    return found
