"""What stands in a step's way from the beginning: a name that is taken, a disk that is full."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

from airflow_provider_mlx.backends.local.process import identify
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

from .case import Case
from .lab_folders import DEPLOYMENT
from .processes import find
from .subjects import LOCAL

SMALL_DISK_MEGABYTES = 8
THEIR_JOB_SECONDS = 120


class NotHere(Exception):
    """This machine cannot do it: the row counts as wrong, and says why."""


def job_name(case: Case, attempt: int = 1) -> str:
    """The name that the step's job will have."""
    return TaskInstanceIdentity(DEPLOYMENT, case.dag_id, case.run_id, "step").job_name(attempt)


def take_name(case: Case) -> None:
    """Somebody else's job has our job's name, and runs."""
    if case.subject.where == LOCAL:
        _take_local_name(case)
        return
    if case.subject.where in case.lab.systems:
        case.system.take_name(job_name(case), case.subject.task["target"], THEIR_JOB_SECONDS)
        return
    assert case.lab.remote is not None
    request = {"name": job_name(case), "argv": ["/bin/sleep", str(THEIR_JOB_SECONDS)], "labels": {}}
    status, _ = case.lab.remote.ask("POST", "/v1/jobs", request)
    assert status == 201, status


def name_still_theirs(case: Case) -> None:
    """Wait for our step's refusal; their job must go on as if nothing had happened."""
    case.strike()
    case.wait_final()
    if case.subject.where == LOCAL:
        folder = _job_folder(case)
        pid = json.loads((folder / "lease.json").read_text())["pid"]
        untouched = find(pid) is not None and not (folder / "stopped").exists()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    elif case.subject.where in case.lab.systems:
        untouched = case.system.is_untouched(job_name(case), case.subject.task["target"])
    else:
        assert case.lab.remote is not None
        status, answer = case.lab.remote.ask("GET", f"/v1/jobs/{job_name(case)}")
        untouched = status == 200 and answer["status"] == "running"
        case.lab.remote.ask("POST", f"/v1/jobs/{job_name(case)}/stop", {})
    if not untouched:
        case.blame("their job was touched")


def _take_local_name(case: Case) -> None:
    folder = _job_folder(case)
    folder.mkdir(parents=True)
    process = subprocess.Popen(["/bin/sleep", str(THEIR_JOB_SECONDS)], start_new_session=True)
    lease = identify(process.pid)
    assert lease is not None
    (folder / "lease.json").write_text(json.dumps(lease.to_wire()))
    (folder / "request.json").write_text(json.dumps({"name": folder.name, "digest": "theirs", "outputs_uri": ""}))


def _job_folder(case: Case) -> Path:
    return case.lab.local_jobs / job_name(case)


def mount_small_disk(case: Case) -> None:
    """The case's stack has its artifact root on a file system of a few megabytes."""
    place = case.ledger_root
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MEGABYTES}m", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHere(f"no file system can be mounted here: {done.stderr.strip()}")
    case.lab.at_end(lambda: subprocess.run(["umount", "-l", str(place)], check=False))


def fill_disk(case: Case) -> None:
    """Nothing can be written when the job ends; later there is room again."""
    case.reach_point()
    filler = case.ledger_root / "filler"
    with filler.open("wb", buffering=0) as sink, contextlib.suppress(OSError):
        while True:
            sink.write(bytes(4096))
    case.release()
    time.sleep(8)
    filler.unlink()
