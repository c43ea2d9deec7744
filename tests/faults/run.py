"""
Run the fault table: ``python -m tests.faults.run --subjects mlx-local --rows killed --out table.jsonl``.

Prints a Markdown table; the exit status is 1 if any row is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster, running_cluster
from tests.e2e.harness import Environment

from .case import Case
from .judge import judge
from .lab import Lab
from .records import read_ledger
from .rows import ROWS, Row
from .subjects import KUBEFLOW, KUBERNETES, REMOTE, SAGEMAKER, SUBJECTS, Subject
from .table import Outcome, append, markdown, right_in

LOG_LINES = 60
TOGETHER = 8
"""So many cases of one shared fault at a time: each may hold a worker at its point, and Airflow has twelve."""
GREENS = "every green stands on a claim"
Tell = Callable[[Outcome], None]


class Running:
    """One case on its way from the start to its judgement; what breaks on the way makes it wrong."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._broken: Exception | None = None

    def step(self, act: Callable[[Case], None]) -> None:
        """One part of the way, unless an earlier one broke."""
        if self._broken is None:
            try:
                act(self.case)
            except Exception as error:
                traceback.print_exc()
                self._broken = error

    def broke(self, error: Exception) -> None:
        """Something that was for all cases went wrong."""
        self._broken = self._broken or error

    @property
    def goes_on(self) -> bool:
        """Nothing broke so far."""
        return self._broken is None

    def outcome(self) -> Outcome:
        """Wait for the end, judge, clean up."""
        case, seen = self.case, None
        try:
            self.step(Case.wait_final)
            if self.goes_on:
                seen = case.seen()
                case.wrong += judge(case.row.expect, seen)
        except Exception as error:
            self._broken = error
        if self._broken is not None:
            case.wrong.append(f"{type(self._broken).__name__}: {self._broken}")
        try:
            evidence = evidence_of(case) if case.wrong else None
        finally:
            case.clean_up()
        return Outcome(case.row.name, case.subject.name, seen, tuple(case.wrong), evidence)


def run_case(case: Case) -> Outcome:
    """A case whose fault is its own."""
    running = Running(case)
    running.step(Case.start)
    running.step(case.row.fault)
    return running.outcome()


def run_together(cases: Sequence[Case], *, at_once: int) -> list[Outcome]:
    """Cases with one fault for all of them: they come to their points, it happens, they go on."""
    known = [Running(case) for case in cases]
    with ThreadPoolExecutor(at_once) as pool:
        first = [running for running in known if not running.case.row.late]
        list(pool.map(lambda running: (running.step(Case.start), running.step(Case.reach_point)), first))
    ready = [running for running in known if running.goes_on]
    for running in ready:
        running.case.strike()
    if ready:
        _break_together(ready)
    with ThreadPoolExecutor(len(known)) as pool:
        return list(pool.map(Running.outcome, known))


def _break_together(ready: Sequence[Running]) -> None:
    cases = [running.case for running in ready]
    shared = cases[0].row.shared
    assert shared is not None
    try:
        shared(cases)
    except Exception as error:
        traceback.print_exc()
        for running in ready:
            running.broke(error)
        cases[0].lab.mend()


def evidence_of(case: Case) -> dict[str, object]:
    """What a reader needs to find the cause."""
    return {
        "ledger": read_ledger(case.ledger_root, case.dag_id, case.run_id).files,
        "jobs": [str(job) for job in case.jobs()],
        "log": case.lab.airflow.logs(case.dag_id, case.run_id).splitlines()[-LOG_LINES:],
    }


def run_cases(cases: Iterable[Case], tell: Tell, *, at_once: int) -> list[Outcome]:
    """Cases whose fault is their own run beside each other, then those that share one, fault after fault."""
    outcomes: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    known = sorted(cases, key=lambda case: not case.row.long)
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda case: take(run_case(case)), (case for case in known if case.row.shared is None)))
    shared: dict[Any, list[Case]] = {}
    for case in known:
        if case.row.shared is not None:
            shared.setdefault(case.row.shared, []).append(case)
    for together in shared.values():
        for first in range(0, len(together), TOGETHER):
            for outcome in run_together(together[first : first + TOGETHER], at_once=at_once):
                take(outcome)
    return outcomes


def run_lab(
    lab: Lab, rows: Sequence[Row], subjects: Sequence[Subject], tell: Tell, *, at_once: int,
    done: Collection[tuple[str, str]] = (),
) -> list[Outcome]:  # fmt: skip
    """All cases of one Airflow but those that are done; afterwards no green may be left that nothing proves."""
    try:
        cases = lab.cases(rows, subjects, done=done)
        lab.start()
        outcomes = run_cases(cases, tell, at_once=at_once)
        lab.airflow.stop()
        unproved = lab.greens_without_proof(cases)
    finally:
        lab.stop()
    if unproved:
        outcomes.append(Outcome(GREENS, lab.world.name, None, tuple(unproved)))
        tell(outcomes[-1])
    return outcomes


@contextlib.contextmanager
def wanted_cluster() -> Iterator[Cluster]:
    """The cluster that ``MLX_TEST_KUBECONFIG`` names, or one that lasts as long as the block."""
    if kubeconfig := os.environ.get("MLX_TEST_KUBECONFIG"):
        yield Cluster(Path(kubeconfig))
        return
    with running_cluster() as cluster:
        yield cluster


def choose(words: str, *, quick: bool) -> list[Row]:
    """Rows whose name holds one of the words, separated by commas; all without any."""
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    rows = [row for row in ROWS if not wanted or any(word in row.name for word in wanted)]
    return [row for row in rows if row.quick or not quick]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", default="mlx-local", help=f"of {', '.join(SUBJECTS)}; separated by commas")
    parser.add_argument("--rows", default="", help="words of the rows' names, separated by commas")
    parser.add_argument("--quick", action="store_true", help="only the rows that take seconds")
    parser.add_argument("--out", type=Path, help="a file for JSON lines; a table in Markdown is written beside it")
    parser.add_argument("--go-on", action="store_true", help="leave out what that file says was right")
    parser.add_argument("--at-once", type=int, default=3, help="cases beside each other")
    parser.add_argument("--environment", default="demo", help="a folder of .build")
    parser.add_argument("--tree", type=Path, help="a checkout whose package is used instead of the installed one")
    parser.add_argument("--keep", type=Path, help="a new folder for everything; it is kept")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    given = parser.parse_args(argv)
    rows = choose(given.rows, quick=given.quick)
    if given.list:
        print("\n".join(row.name for row in rows))
        return 0
    subjects = [SUBJECTS[name] for name in given.subjects.split(",")]
    done = right_in(given.out) if given.go_on and given.out else set()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlx-faults-", ignore_cleanup_errors=True))
        on_kubernetes = any(subject.where == KUBERNETES for subject in subjects)
        cluster = stack.enter_context(wanted_cluster()) if on_kubernetes else None
        labs: list[Lab] = []

        def end(*_: object) -> None:
            for lab in labs[-1:]:
                lab.stop()
            os._exit(143)  # threads that still wait for something must not keep this process

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)

        def tell(outcome: Outcome) -> None:
            print(("wrong" if outcome.wrong else "right"), outcome.row, outcome.subject, *outcome.wrong, flush=True)
            if given.out:
                append(given.out, outcome)

        outcomes: list[Outcome] = []
        for world in dict.fromkeys(row.world for row in rows):
            here = [row for row in rows if row.world == world and any(row.is_for(subject) for subject in subjects)]
            if not here:
                continue
            labs.append(Lab(
                (given.keep or Path(scratch)) / world.name,
                environment=Environment(given.environment), tree=given.tree,
                with_remote=any(subject.where == REMOTE for subject in subjects), cluster=cluster, world=world,
                with_sagemaker=any(subject.where == SAGEMAKER for subject in subjects),
                with_kubeflow=any(subject.where == KUBEFLOW for subject in subjects),
            ))  # fmt: skip
            outcomes += run_lab(labs[-1], here, subjects, tell, at_once=given.at_once, done=done)
    order = {row.name: number for number, row in enumerate(rows)}
    table = markdown(sorted(outcomes, key=lambda outcome: (order.get(outcome.row, len(order)), outcome.subject)))
    print(table)
    if given.out:
        given.out.with_suffix(".md").write_text(table)
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
