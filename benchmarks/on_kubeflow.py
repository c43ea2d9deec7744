"""
Ours beside a loop of questions per run, on a real API server of Kubeflow Pipelines.

The peer is what ``kfp.Client.wait_for_run_completion`` does, one thread for each run in one process, so that it costs
as little as such a loop can: it asks for its run every five seconds. Ours is a real triggerer with the step's trigger.
Workflows are reported to the server as the persistence agent does; requests and bytes are counted before the server.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec
from airflow_provider_mlx.triggers.order import WatchOrder
from tests.kubeflow_pipelines.server import Server, running_server

from .report import line
from .triggerers import Triggerers, spent
from .waiting import SETTLE_SECONDS, STEADY_SECONDS, Cost, report

IMAGE = "registry.example.com/python:3"
ENDING_SECONDS = 60.0
"""Over which the runs end, one after the other: the server takes five Workflows a second."""
ASKING_SECONDS = 5.0
"""``sleep_duration`` of ``kfp.Client.wait_for_run_completion``."""
LOOP = "a GET per run"
_OVER = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


def start(server: Server, folder: Path, number: int) -> list[JobHandle]:
    """So many runs of steps, all of them running."""
    backend = KubeflowPipelinesBackend(KubeflowPipelinesSettings(address=server.address), store=ObjectStore())
    handles = []
    for index in range(number):
        identity = TaskInstanceIdentity("bench", "waiting", folder.name, "step", index)
        uri = (folder / identity.attempt_folder(1)).as_uri()
        spec = JobSpec(identity, 1, identity.job_name(1), uri, command=("true",), image=IMAGE)
        handles.append(backend.submit(backend.plan(spec)))
    for handle in handles:
        server.report(handle.id, "Running")
    backend.client.close()
    return handles


def trigger_of(server: Server, folder: Path, index: int, handle: JobHandle) -> dict[str, Any]:
    """What a triggerer is told about a run."""
    identity = TaskInstanceIdentity("bench", "waiting", folder.name, "step", index)
    settings = KubeflowPipelinesSettings(address=server.address)
    order = WatchOrder(
        identity, 1, handle, settings.model_dump(mode="json"), None, folder.as_uri(), None, "bench",
        Limits(None, None, None), 3600.0, datetime.now(UTC),
    )  # fmt: skip
    return {"path": "airflow_provider_mlx.triggers.job:JobTrigger", "arguments": {"order": order.to_wire()}}


class Minute:
    """What is asked of the server, and what the process that asks costs, while nothing changes."""

    def __init__(self, server: Server, processes: Sequence[psutil.Process]) -> None:
        time.sleep(SETTLE_SECONDS)
        server.relay.calls.clear()
        before = spent(processes)
        time.sleep(STEADY_SECONDS)
        after = spent(processes)
        minutes = (after.at - before.at) / 60
        self.by_route = server.relay.count()
        self.requests = sum(self.by_route.values()) / minutes
        self.bytes = sum((server.relay.received() + server.relay.sent()).values()) / minutes
        self.cpu = (after.cpu_seconds - before.cpu_seconds) / minutes
        self.memory = after.memory_bytes / 2**20


def end_all(server: Server, handles: Sequence[JobHandle]) -> dict[int, float]:
    """End one run after the other; when the server was told of each."""
    ended, begun = {}, time.monotonic()
    for index, handle in enumerate(handles):
        time.sleep(max(0.0, begun + index * ENDING_SECONDS / len(handles) - time.monotonic()))
        server.report(handle.id, "Succeeded")
        ended[index] = time.time()
    return ended


def ours(server: Server, folder: Path, number: int) -> tuple[Cost, float]:
    """A triggerer; its cost, and bytes a minute."""
    handles = start(server, folder, number)
    airflow = Triggerers(folder, {})
    airflow.prepare([trigger_of(server, folder, index, handle) for index, handle in enumerate(handles)])
    with airflow.running(1) as processes:
        minute = Minute(server, processes)
        ended = end_all(server, handles)
        until = time.monotonic() + 120
        while airflow.waiting() and time.monotonic() < until:
            time.sleep(1)
        lost = airflow.waiting()
    delays = tuple(at - ended[index] for index, at in airflow.fired().items() if index in ended)
    return _cost(minute, delays, lost, airflow.longest_stall()), minute.bytes


def loop(server: Server, folder: Path, number: int) -> tuple[Cost, float]:
    """The loop as a process of its own."""
    folder.mkdir()
    handles = start(server, folder, number)
    told = folder / "runs.json"
    told.write_text(json.dumps([handle.id for handle in handles]))
    command = [sys.executable, "-m", "benchmarks.on_kubeflow", "--loop", server.address, "--runs", str(told)]
    with psutil.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        minute = Minute(server, [process])
        ended = end_all(server, handles)
        output, _ = process.communicate(timeout=120)
    fired = dict(map(json.loads, output.splitlines()))
    delays = tuple(at - ended[index] for index, at in fired.items())
    return _cost(minute, delays, number - len(fired), 0.0), minute.bytes


def ask_for_each(address: str, runs: Sequence[str]) -> None:
    """A thread per run: ask for it, and say when it is over."""

    def wait(index: int, run: str) -> None:
        while True:
            with urllib.request.urlopen(f"{address}/apis/v2beta1/runs/{run}", timeout=60) as answer:
                state = json.load(answer).get("state")
            if state in _OVER:
                print(json.dumps([index, time.time()]), flush=True)
                return
            time.sleep(ASKING_SECONDS)

    threads = [threading.Thread(target=wait, args=one) for one in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _cost(minute: Minute, delays: tuple[float, ...], lost: int, stall: float) -> Cost:
    return Cost(
        requests_per_minute=minute.requests, by_verb=Counter(minute.by_route), cpu_seconds_per_minute=minute.cpu,
        memory_mebibytes=minute.memory, longest_stall_seconds=stall, delays=delays, lost=lost,
    )  # fmt: skip


def main() -> None:
    """Both, one after the other on one server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_kubeflow")
    parser.add_argument("--number", type=int, default=200, help="of deferred runs")
    parser.add_argument("--loop", help="an address: be the loop")
    parser.add_argument("--runs", type=Path)
    given = parser.parse_args()
    if given.loop:
        ask_for_each(given.loop, json.loads(given.runs.read_text()))
        return
    with tempfile.TemporaryDirectory(prefix="mlx-bench-kubeflow-") as folder, running_server() as server:
        our_cost, our_bytes = ours(server, Path(folder) / "ours", given.number)
        peer_cost, peer_bytes = loop(server, Path(folder) / "loop", given.number)
    what = f"{given.number:,} deferred runs of Kubeflow Pipelines"
    report(what, our_cost, peer_cost, LOOP)
    line(f"{what}, bytes", [our_bytes / 2**20], LOOP, [peer_bytes / 2**20], unit="MiB/min")


if __name__ == "__main__":
    main()
