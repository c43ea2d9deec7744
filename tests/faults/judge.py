"""Was it right? One pure function from what was seen to what is wrong with it: nothing here knows a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ORPHAN_SECONDS: Final = 20.0
"""A job that lives so long after its task's final state is nobody's."""


GONE: Final = "gone"
"""The state of a task that Airflow does not know any more."""


@dataclass(frozen=True)
class Expect:
    """
    What is right for a row. By default: one job, one result, green at the end.

    :param jobs: how many jobs start, in all.
    :param at_once: how many jobs may live at the same time.
    :param at_most: how many jobs may start, where more than ``jobs`` is right too.
    :param results: how many results are collected; by default one if the task becomes green.
    :param marker: which code's value the task has.
    :param tries: Airflow's tries, at most.
    :param at_most_results: how many may be collected, where more than ``results`` is right too.
    :param stopped: whether a job is asked to stop; ``None`` where both are right.
    :param by_hand: a user marked the state, so that green needs no result.
    :param seconds: from the fault to the final state, at most.
    :param said: a text that the task's log must hold.
    """

    state: str = "success"
    jobs: int = 1
    at_once: int = 1
    at_most: int | None = None
    results: int | None = None
    marker: str = "first"
    tries: int | None = None
    at_most_results: int = 0
    stopped: bool | None = False
    by_hand: bool = False
    seconds: float | None = None
    said: str = ""

    @property
    def most_jobs(self) -> int:
        """How many jobs may start."""
        return self.jobs if self.at_most is None else self.at_most

    @property
    def value_expected(self) -> bool:
        """Whether the task has a value at the end."""
        return self.state == "success" and not self.by_hand


@dataclass(frozen=True)
class Seen:
    """
    What independent records say about one case.

    :param jobs: how many jobs the step's own code, or the job server, has recorded.
    :param at_once: how many of them lived at the same time, at most.
    :param finished: how many of them came to the end of their code.
    :param stops: stop requests that reached the backend.
    :param results: attempts whose result was claimed.
    :param orphans: jobs that live on, :data:`ORPHAN_SECONDS` after the final state.
    :param state: the task's final state; ``None`` if it never got one.
    :param marker: of the task's value; ``None`` if it has no value.
    :param value_is_of_a_job: the value was made by a job that came to its end.
    :param said: the text that had to be said was said.
    """

    jobs: int
    at_once: int
    finished: int
    stops: int
    results: int
    orphans: int
    state: str | None
    tries: int
    marker: str | None
    value_is_of_a_job: bool
    seconds: float
    said: bool = True


def judge(expect: Expect, seen: Seen) -> list[str]:
    """Everything that is wrong, in words; empty if all is right."""
    return [*_state(expect, seen), *_jobs(expect, seen), *_result(expect, seen)]


def _state(expect: Expect, seen: Seen) -> list[str]:
    wrong = []
    if seen.state is None:
        wrong.append("the task never got a final state")
    elif seen.state != expect.state:
        kind = {"success": "false green", "failed": "false red"}.get(seen.state, "wrong state")
        wrong.append(f"{kind}: the task is {seen.state} and should be {expect.state}")
    if expect.tries is not None and seen.tries > expect.tries:
        wrong.append(f"{seen.tries} tries were spent, at most {expect.tries} are right")
    if expect.seconds is not None and seen.seconds > expect.seconds:
        wrong.append(f"the final state took {seen.seconds:.0f} s, at most {expect.seconds:.0f} are right")
    if not seen.said:
        wrong.append(f"the task's log does not say {expect.said!r}")
    return wrong


def _jobs(expect: Expect, seen: Seen) -> list[str]:
    wrong = []
    if not expect.jobs <= seen.jobs <= expect.most_jobs:
        wrong.append(f"{seen.jobs} jobs started, {expect.jobs} to {expect.most_jobs} are right")
    if seen.at_once > expect.at_once:
        wrong.append(f"{seen.at_once} jobs at once")
    if seen.orphans:
        wrong.append(f"{seen.orphans} jobs live on, and nobody watches them")
    if expect.stopped and not seen.stops:
        wrong.append("no job was asked to stop")
    if expect.stopped is False and seen.stops:
        wrong.append(f"{seen.stops} jobs were asked to stop, and none should be")
    return wrong


def _result(expect: Expect, seen: Seen) -> list[str]:
    wrong = []
    results = int(expect.value_expected) if expect.results is None else expect.results
    most = max(results, expect.at_most_results)
    if not results <= seen.results <= most:
        wrong.append(f"{seen.results} results were collected, {results} to {most} are right")
    if expect.value_expected:
        if seen.marker != expect.marker:
            wrong.append(f"false green: the value is of code {seen.marker!r}, not of {expect.marker!r}")
        elif not seen.value_is_of_a_job:
            wrong.append("false green: no job that came to its end made this value")
    return wrong
