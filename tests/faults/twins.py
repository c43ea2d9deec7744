"""A second Airflow with the same DAGs and run ids, on the same artifact root and the same job server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .airflow import Airflow, until
from .case import FINAL, Case
from .lab_folders import DEPLOYMENT

OTHER_DEPLOYMENT = "faults-staging"
BESIDE_SECONDS = 20.0


def of_another_deployment(cases: Sequence[Case]) -> None:
    """Each Airflow has a ``deployment_id`` of its own, as documented: neither sees the other's jobs."""

    def beside(case: Case) -> None:
        case.wait_jobs(2)
        case.release()

    _run_beside(cases, OTHER_DEPLOYMENT, beside)
    for case in cases:
        _must_be(case, "success")


def of_the_same_deployment(cases: Sequence[Case]) -> None:
    """Both have one ``deployment_id``, which is a mistake: no two jobs at once, and no value of another's run."""

    def beside(case: Case) -> None:
        time.sleep(BESIDE_SECONDS)
        case.release()

    _run_beside(cases, DEPLOYMENT, beside)


def _run_beside(cases: Sequence[Case], deployment: str, act: Callable[[Case], None]) -> None:
    lab = cases[0].lab
    second = lab.second_airflow(deployment)
    second.start()
    try:
        for case in cases:
            second.trigger_named(case.dag_id, case.run_id)
        for case in cases:
            act(case)
        for case in cases:
            state = until(lambda case=case: _state(second, case), 120, f"{case.run_id} is over in the second Airflow")
            case.states_elsewhere.append(state)
    finally:
        second.stop()


def _state(airflow: Airflow, case: Case) -> str:
    state = str(airflow.task(case.dag_id, case.run_id)["state"])
    return state if state in FINAL else ""


def _must_be(case: Case, state: str) -> None:
    if case.states_elsewhere[-1] != state:
        case.blame(f"in the second Airflow it is {case.states_elsewhere[-1]} and should be {state}")
