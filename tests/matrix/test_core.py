"""The core of what we promise, on one Airflow of the matrix."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_provider_mlx.testing.remote.control import RemoteServer
from tests.e2e.harness import Drive, Environment, Lab, LabRun


def wait_until(what: str, check: Callable[[], Any], *, seconds: float = 60) -> Any:
    """What ``check`` gives, as soon as it gives something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := check():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def far_away(lab: Lab, seconds: int) -> LabRun:
    """A run whose step takes so long, on the remote backend."""
    lab.airflow.wait_for_dag("far_away")
    return LabRun(lab, "far_away", lab.airflow.trigger("far_away", {"seconds": seconds}))


def deferred(run: LabRun) -> bool:
    return run.states().get("wait") == "deferred"


def stopped(server: RemoteServer, run: LabRun) -> Any:
    return server.record().stops(run_id=run.run_id)


def test_the_package_imports_and_its_versions_agree(environment: Environment) -> None:
    import subprocess

    done = subprocess.run(
        [environment.bin / "python", "-m", "airflow_provider_mlx", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_values_pass_both_ways_and_steps_are_mapped(drive: Drive) -> None:
    run = drive["values"]
    assert run.state == "success", run.tail()
    assert run.xcom("double") == 12
    assert run.xcom("total")["run"] == run.run_id
    assert [run.xcom(f"square[{index}]") for index in range(3)] == [1, 4, 9]


def test_a_failure_names_the_line_of_the_dag_file(drive: Drive) -> None:
    run = drive["failing"]
    assert run.state == "failed"
    assert "the step failed in its own code: ZeroDivisionError" in run.log
    assert "core.py:" in run.log


def test_a_step_waits_in_the_triggerer_and_is_collected(lab: Lab, server: RemoteServer) -> None:
    run = far_away(lab, 15)
    wait_until("deferred", lambda: deferred(run))
    assert run.wait() == "success", run.tail()
    assert run.xcom("wait") == "waited"
    assert len(server.record().created(run_id=run.run_id)) == 1
    log = run.log("wait")
    assert [f"second {index}" in log for index in range(15)] == [True] * 15, log
    assert log.count("second 3") == 1


def test_a_step_marked_failed_while_it_waits_is_stopped(lab: Lab, server: RemoteServer) -> None:
    run = far_away(lab, 120)
    wait_until("deferred", lambda: deferred(run))
    time.sleep(3)
    place = f"dags/far_away/dagRuns/{run.run_id}/taskInstances/wait"
    lab.airflow.ask(place, {"new_state": "failed"}, method="PATCH")
    wait_until("the job is stopped", lambda: stopped(server, run))


def test_a_step_cleared_while_it_waits_is_stopped_and_runs_again(lab: Lab, server: RemoteServer) -> None:
    run = far_away(lab, 20)
    wait_until("deferred", lambda: deferred(run))
    lab.airflow.ask(
        "dags/far_away/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run.run_id, "task_ids": ["wait"], "only_failed": False},
    )
    wait_until("the old job is stopped", lambda: stopped(server, run))
    assert run.wait() == "success", run.tail()
    record = server.record()
    assert len(record.created(run_id=run.run_id)) == 2
    assert record.peak_active(run_id=run.run_id) == 1


def test_a_step_marked_failed_while_it_runs_is_stopped(lab: Lab, server: RemoteServer) -> None:
    run = far_away(lab, 120)
    wait_until("submitted", lambda: server.record().created(run_id=run.run_id))
    lab.airflow.ask(f"dags/far_away/dagRuns/{run.run_id}/taskInstances/wait", {"new_state": "failed"}, method="PATCH")
    wait_until("the job is stopped", lambda: stopped(server, run))
