"""
What goes wrong: functions over a :class:`~tests.faults.case.Case` that has been started, and, where a part of Airflow
or a service breaks for everybody, over all cases that have come to their point.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from .case import Case
from .processes import Process

Fault = Callable[[Case], None]
Shared = Callable[[Sequence[Case]], None]

BESIDE_SECONDS = 3.0
"""How long an old try and a new one have each other beside them."""
OUTAGE_SECONDS = 60.0
SHORT_OUTAGE_SECONDS = 20.0

# --- a worker is lost --------------------------------------------------------------------------------------------------


def kill_task(case: Case) -> None:
    """SIGKILL to the task's process: its supervisor sees it at once."""
    case.reach_point()
    case.kill(case.task_process())
    _adopted_then_released(case)


def kill_supervisor(case: Case) -> None:
    """SIGKILL to the supervisor, which is the executor's worker: the task's process goes on alone."""
    case.reach_point()
    task, supervisor = case.task_process(), case.supervisor()
    case.kill(supervisor)
    case.thaw(task)
    _adopted_then_released(case)


def kill_worker(case: Case) -> None:
    """SIGKILL to the task's process and its supervisor, as when the worker's machine is lost."""
    case.reach_point()
    case.kill(*_both(case))
    _adopted_then_released(case)


def freeze_worker(case: Case) -> None:
    """The worker's machine hangs past the heartbeat limit, and comes back beside the new try."""
    case.reach_point()
    both = _both(case)
    case.freeze(*both)
    case.wait_next_try()
    time.sleep(BESIDE_SECONDS)
    case.thaw(*both)
    time.sleep(BESIDE_SECONDS)
    case.release()


def freeze_task(case: Case) -> None:
    """
    The worker's machine hangs, and the task's process wakes up beside the new try with nobody over it.

    The supervisor dies only then: when a stopped process loses its parent, the kernel lets it go on at once.
    """
    case.reach_point()
    supervisor, task = _both(case)
    case.freeze(supervisor, task)
    case.wait_next_try()
    time.sleep(BESIDE_SECONDS)
    case.kill(supervisor)
    case.thaw(task)
    time.sleep(BESIDE_SECONDS)
    case.release()


def other_code_then_kill(case: Case) -> None:
    """The DAG file changes under a running step, and then its worker is lost: an automatic retry adopts."""
    case.reach_point()
    case.write_dag(marker="second")
    case.kill(case.task_process())
    _adopted_then_released(case)


# --- a worker is asked to end ----------------------------------------------------------------------------------------


def drain(case: Case) -> None:
    """SIGTERM to the supervisor, as at a rolling deployment."""
    case.reach_point()
    task = case.task_process()
    case.supervisor().send(signal.SIGTERM)
    case.thaw(task)
    _adopted_then_released(case)


def drain_on_the_last_try(case: Case) -> None:
    """SIGTERM to the supervisor, and nobody would collect the job."""
    case.reach_point()
    case.supervisor().send(signal.SIGTERM)


def terminate_task_on_the_last_try(case: Case) -> None:
    """SIGTERM to the task's own process."""
    case.reach_point()
    case.task_process().send(signal.SIGTERM)


# --- a user acts -----------------------------------------------------------------------------------------------------


def mark_failed(case: Case) -> None:
    """Mark it failed."""
    _act(case, lambda: case.mark("failed"))


def mark_success(case: Case) -> None:
    """Mark it success."""
    _act(case, lambda: case.mark("success"))


def clear(case: Case) -> None:
    """Correct the code and clear the task: the new code runs, whatever the old one is doing."""

    def correct_and_clear() -> None:
        case.write_dag(marker="second")
        case.clear()

    _act(case, correct_and_clear)
    case.wait_next_try()
    case.wait_jobs(2)
    case.release()


def clear_after_success(case: Case) -> None:
    """Correct the code and clear a task that is green."""
    case.reach_point()
    case.release()
    case.wait_state("success")
    case.write_dag(marker="second")
    case.strike()
    case.clear()
    case.wait_jobs(2)


def _act(case: Case, act: Callable[[], None]) -> None:
    case.reach_point()
    process = case.task_process() if case.has_process else None
    act()
    if process is not None:
        case.thaw(process)


# --- time is up, the user's code fails -------------------------------------------------------------------------------


def let_time_pass(case: Case) -> None:
    """The job never ends by itself."""
    case.reach_point()


def let_it_end(case: Case) -> None:
    """The job ends at once, however it ends."""
    case.reach_point()
    case.release()


# --- a service gives no answer ---------------------------------------------------------------------------------------


def store_unreachable(case: Case) -> None:
    """The artifact store answers no call of Airflow's side for a minute; the job ends meanwhile."""
    case.reach_point()
    case.lab.points.cut_off(case.run_id)
    case.thaw_held()
    time.sleep(OUTAGE_SECONDS / 2)
    case.release()
    time.sleep(OUTAGE_SECONDS / 2)
    case.lab.points.reconnect(case.run_id)


def airflow_api_unreachable(cases: Sequence[Case], seconds: float = OUTAGE_SECONDS) -> None:
    """No task reaches Airflow's API for a minute; the jobs end meanwhile."""
    gate = cases[0].lab.airflow.api_gate
    gate.shut()
    _thaw_then_end_within(cases, seconds)
    gate.open()


def airflow_api_shortly_unreachable(cases: Sequence[Case]) -> None:
    """The same for some seconds."""
    airflow_api_unreachable(cases, SHORT_OUTAGE_SECONDS)


def backend_unreachable(cases: Sequence[Case], seconds: float = OUTAGE_SECONDS) -> None:
    """The job server cannot be reached for a minute; the jobs end meanwhile."""
    gates = cases[0].lab.backend_gates
    for gate in gates:
        gate.shut()
    _thaw_then_end_within(cases, seconds)
    for gate in gates:
        gate.open()


def backend_silent(cases: Sequence[Case]) -> None:
    """For a minute nothing comes from the job server and nothing gets there, on connections that stay open."""
    gates = cases[0].lab.backend_gates
    for gate in gates:
        gate.fall_silent()
    _thaw_then_end_within(cases, OUTAGE_SECONDS)
    for gate in gates:
        gate.speak()


def answers_lost(cases: Sequence[Case]) -> None:
    """The calls that create the jobs arrive, and their answers do not: the connections break before."""
    gates = cases[0].lab.backend_gates
    for gate in gates:
        gate.lose_answers()
    for case in cases:
        case.thaw_held()
    for case in cases:
        case.wait_created()
    for gate in gates:
        gate.shut()
        gate.speak()
        gate.open()
    for case in cases:
        case.wait_jobs(1)
        case.release()


def backend_shortly_unreachable(cases: Sequence[Case]) -> None:
    """The same for some seconds."""
    backend_unreachable(cases, SHORT_OUTAGE_SECONDS)


def airflow_down(cases: Sequence[Case]) -> None:
    """Every process of Airflow is killed, the jobs end, and Airflow starts again."""
    airflow = cases[0].lab.airflow
    airflow.end_parts(*airflow.parts)
    for case in cases:
        case.release()
    for case in cases:
        case.wait_no_job_lives()
    time.sleep(2)
    airflow.start_parts(*airflow.parts)


def scheduler_lost(cases: Sequence[Case]) -> None:
    """The scheduler and, with LocalExecutor, all workers and tasks are killed; the jobs go on."""
    airflow = cases[0].lab.airflow
    airflow.end_parts("scheduler")
    time.sleep(5)
    airflow.start_parts("scheduler")
    for case in cases:
        _adopted_then_released(case)


def _thaw_then_end_within(cases: Sequence[Case], seconds: float) -> None:
    for case in cases:
        case.thaw_held()
    time.sleep(seconds / 2)
    for case in cases:
        case.release()
    time.sleep(seconds / 2)


# --- parts -----------------------------------------------------------------------------------------------------------


def _both(case: Case) -> tuple[Process, Process]:
    return case.supervisor(), case.task_process()


def _adopted_then_released(case: Case) -> None:
    case.wait_next_try()
    time.sleep(1)
    case.release()
