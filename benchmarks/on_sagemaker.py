"""
Ours beside the amazon provider's SageMaker operator, on the tests' AWS as a process of its own.

``python -m benchmarks.on_sagemaker`` in an environment that has both. Many deferred tasks: what is asked of AWS's API,
what the triggerer needs, and how long after a job's end its task goes on. A no-op job: from the task's start to its
end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.names import sagemaker_name
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec
from airflow_provider_mlx.triggers.order import WatchOrder

from .report import line
from .triggerers import Triggerers, spent
from .waiting import SETTLE_SECONDS, STEADY_SECONDS, Cost, report

ROOT = Path(__file__).resolve().parent.parent
CONN_ID = "bench_aws"
ROLE = "arn:aws:iam::123456789012:role/mlx-job"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3"
REGION = "eu-central-1"
ENDING_SECONDS = 30.0
"""Over which the jobs end, one after the other."""
TRIGGER = "SageMakerTrigger"
OPERATOR = "SageMakerTrainingOperator"


@contextmanager
def aws(*options: str) -> Iterator[str]:
    """The tests' AWS, by the interpreter that has what it needs; its address."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "tests.aws", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


def connection(url: str) -> dict[str, Any]:
    """The Airflow connection of an administrator."""
    return {
        "conn_type": "aws", "login": "AKIAADMINISTRATOR00", "password": "administrator",
        "extra": {"region_name": REGION, "endpoint_url": url},
    }  # fmt: skip


def client_of(url: str) -> Any:
    """SageMaker's API, as an administrator."""
    keys = {"aws_access_key_id": "AKIAADMINISTRATOR00", "aws_secret_access_key": "administrator"}
    return boto3.client("sagemaker", endpoint_url=url, region_name=REGION, **keys)


# --- many that wait ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """
    Whose trigger waits.

    :param trigger: of a job's number and name.
    """

    name: str
    trigger: Callable[[str, Path, int], tuple[str, Mapping[str, Any]]]


def our_trigger(url: str, folder: Path, index: int) -> tuple[str, Mapping[str, Any]]:
    """Submit a job as a step does, and order it to be watched."""
    settings = SageMakerSettings(role_arn=ROLE, instances=("ml.m5.large",))
    identity = TaskInstanceIdentity("bench", "waiting", "run", "step", index)
    root = f"s3://artifacts/{folder.name}"
    spec = JobSpec(
        identity, 1, identity.job_name(1), f"{root}/{identity.attempt_folder(1)}", command=("true",), image=IMAGE
    )
    backend = SageMakerBackend(settings, CONN_ID, ObjectStore(), read_connection=lambda _: _Connection(url))
    backend.client.__dict__.setdefault("_clients", {})["sagemaker"] = _shared(url)
    handle = backend.submit(backend.plan(spec))
    order = WatchOrder(
        identity, 1, handle, settings.model_dump(mode="json"), CONN_ID, folder.as_uri(), None, "bench",
        Limits(None, None, None), 3600.0, datetime.now(UTC),
    )  # fmt: skip
    arguments = {"order": order.to_wire()}
    return sagemaker_name(handle.name), {"path": "airflow_provider_mlx.triggers.job:JobTrigger", "arguments": arguments}


def peers_trigger(url: str, folder: Path, index: int) -> tuple[str, Mapping[str, Any]]:
    """Create a job as the operator does, and what its trigger is told by default."""
    name = f"peer-{folder.name}-{index}"
    _shared(url).create_training_job(
        TrainingJobName=name, RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]},
        OutputDataConfig={"S3OutputPath": "s3://artifacts/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )  # fmt: skip
    arguments = {
        "job_name": name, "job_type": "Training", "poke_interval": 30, "max_attempts": 480, "aws_conn_id": CONN_ID,
    }  # fmt: skip
    return name, {"path": "airflow.providers.amazon.aws.triggers.sagemaker:SageMakerTrigger", "arguments": arguments}


def wait_for_many(work: Path, number: int) -> None:
    """Both, one after the other, each with an AWS of its own."""
    ours, peer = (_measure(work / subject.name, subject, number) for subject in (OURS, PEER))
    report(f"{number:,} deferred SageMaker jobs", ours, peer, TRIGGER)


def _measure(folder: Path, subject: Waiting, number: int) -> Cost:
    with aws("--no-execute") as url:
        found = [subject.trigger(url, folder, index) for index in range(number)]
        names = [name for name, _ in found]
        airflow = Triggerers(folder, {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection(url))})
        airflow.prepare([trigger for _, trigger in found])
        with airflow.running(1) as processes:
            time.sleep(SETTLE_SECONDS)
            before, asked = spent(processes), _calls(url)
            time.sleep(STEADY_SECONDS)
            after, then = spent(processes), _calls(url)
            ended = _end_all(url, names)
            until = time.monotonic() + 180
            while airflow.waiting() and time.monotonic() < until:
                time.sleep(1)
            lost = airflow.waiting()
        fired, minutes = airflow.fired(), (after.at - before.at) / 60
        by_name = {name: then[name] - asked[name] for name in sorted(then) if then[name] > asked[name]}
        return Cost(
            requests_per_minute=sum(by_name.values()) / minutes, by_verb=by_name,
            cpu_seconds_per_minute=(after.cpu_seconds - before.cpu_seconds) / minutes,
            memory_mebibytes=after.memory_bytes / 2**20, longest_stall_seconds=airflow.longest_stall(),
            delays=tuple(at - ended[index] for index, at in fired.items() if index in ended), lost=lost,
        )  # fmt: skip


def _end_all(url: str, names: Sequence[str]) -> dict[int, float]:
    """End one job after the other; when each was ended."""
    ended, begun = {}, time.monotonic()
    with httpx.Client(base_url=url, timeout=30) as client:
        for index, name in enumerate(names):
            time.sleep(max(0.0, begun + index * ENDING_SECONDS / len(names) - time.monotonic()))
            client.post("/mlx-finish", json={"job": name}).raise_for_status()
            ended[index] = time.time()
    return ended


def _calls(url: str) -> Counter[str]:
    """Service and operation → how often it was called; S3 is the artifact root's, and the same for all backends."""
    found = httpx.get(f"{url}/mlx-calls", timeout=60).json()
    return Counter(f"{call['service']}:{call['operation']}" for call in found if call["service"] != "s3")


class _Connection:
    """As much of an Airflow connection as the hook asks for."""

    def __init__(self, url: str) -> None:
        given = connection(url)
        self.conn_id, self.conn_type, self.host, self.schema = CONN_ID, "aws", None, None
        self.login, self.password, self.extra_dejson = given["login"], given["password"], given["extra"]


_CLIENTS: dict[str, Any] = {}


def _shared(url: str) -> Any:
    """One client for all submissions: making a thousand of them is not what is measured."""
    if url not in _CLIENTS:
        _CLIENTS[url] = client_of(url)
    return _CLIENTS[url]


OURS = Waiting("ours", our_trigger)
PEER = Waiting("peer", peers_trigger)

# --- one that does nothing --------------------------------------------------------------------------------------------

DAG = """
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.sdk import dag, task

CONFIG = {
    "RoleArn": "ROLE", "OutputDataConfig": {"S3OutputPath": "s3://artifacts/out"},
    "AlgorithmSpecification": {
        "TrainingImage": "IMAGE", "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-c", "print('ok')"],
    },
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
}


@dag(dag_id="noop", schedule=None)
def noop():
    last = None
    for turn in range(TURNS):
        for deferred in (False, True):
            name = f"{'deferred' if deferred else 'sync'}_{turn}"

            @task.mlx(task_id=f"ours_{name}", deferrable=deferred)
            def ours():
                return {"ok": 1}

            peer = SageMakerTrainingOperator(
                task_id=f"peer_{name}", config={**CONFIG, "TrainingJobName": f"noop-{name}".replace("_", "-")},
                aws_conn_id="CONN_ID", deferrable=deferred,
            )
            for one in (ours(), peer):
                if last is not None:
                    last >> one
                last = one


noop()
"""


def do_nothing(work: Path, runs: int) -> None:
    """A training job that returns a value at once, and one of the peer's that prints a word."""
    from tests.e2e.harness import Environment
    from tests.faults.airflow import Airflow

    home = work / "noop"
    (home / "dags").mkdir(parents=True)
    text = DAG.replace("ROLE", ROLE).replace("IMAGE", IMAGE).replace("CONN_ID", CONN_ID)
    (home / "dags" / "noop.py").write_text(text.replace("TURNS", str(runs + 1)))
    target = {"backend": "sagemaker", "conn_id": CONN_ID, "role_arn": ROLE, "image": IMAGE, "max_runtime": "10m"}
    stack = {"artifacts": {"root": "s3://artifacts/mlx", "conn_id": CONN_ID}, "targets": {"default": target}}
    (home / "stacks.yaml").write_text(json.dumps({"default": "lab", "stacks": {"lab": stack}}))
    with aws() as url:
        airflow = Airflow(
            bin_folder=Environment("peers").bin, home=home / "airflow", dags=home / "dags",
            env={
                "AIRFLOW__MLX__STACKS_FILES": str(home / "stacks.yaml"), "AIRFLOW__MLX__DEPLOYMENT_ID": "bench",
                f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection(url)),
            },
        )  # fmt: skip
        try:
            airflow.start()
            airflow.trigger_named("noop", "bench")
            airflow.wait_for_run("noop", "bench", seconds=240 * (runs + 1))
            _report_noops(airflow.tasks("noop", "bench"))
        finally:
            airflow.stop()


def _report_noops(tasks: list[dict[str, Any]]) -> None:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for task in tasks:
        subject, way, turn = task["task_id"].split("_")
        if task["state"] != "success":
            print(f"{task['task_id']}: {task['state']}", flush=True)
        elif turn != "0":
            begun, ended = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
            times[subject, way].append((ended - begun).total_seconds())
    for way in ("sync", "deferred"):
        line(f"a no-op training job, {way}", times["ours", way], OPERATOR, times["peer", way], unit="s")


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_sagemaker")
    parser.add_argument("names", nargs="*", choices=["waiting", "noop", []], default=[])
    parser.add_argument("--number", type=int, default=1000, help="of deferred tasks")
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlx-bench-aws-") as folder:
        if not given.names or "waiting" in given.names:
            wait_for_many(Path(folder), given.number)
        if not given.names or "noop" in given.names:
            do_nothing(Path(folder), given.runs)


if __name__ == "__main__":
    main()
