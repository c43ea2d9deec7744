"""
A real API server of Kubeflow Pipelines as the system behind the steps, whose steps really run; and what can befall it.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider_mlx.backends.kubeflow_pipelines.names import run_id as id_of_run
from airflow_provider_mlx.step.identity import path_segment
from tests.kubeflow_pipelines.pods import Pods
from tests.kubeflow_pipelines.relay import relay_to
from tests.kubeflow_pipelines.run_bodies import run_body
from tests.kubeflow_pipelines.server import RUN_LABEL, WORKFLOWS, Server
from tests.kubeflow_pipelines.stack import NAMESPACE, Stack

from .gate import Gate

LOOK_SECONDS: Final = 0.2
CONN_ID: Final = "faults_kubeflow"
TARGET: Final = "kubeflow"
UNAVAILABLE_SECONDS: Final = 60.0
_CONTEXT: Final = re.compile(r"/runs/[^/]+/[^/]+/(?P<run>[^/]+)/[^/]+/-1/attempt-\d+/context\.json")
IMAGE: Final = "registry.example.com/python:3"


@dataclass
class SeenWorkflow:
    """
    One Workflow as the cluster had it: it may be gone by now.

    :param run: the id of its run on the server.
    :param of: Airflow's run, by the place of its context; empty for a run of nobody. The run's description is cut.
    """

    run: str
    of: str = ""
    stopped: bool = False

    def is_of(self, run_id: str) -> bool:
        """Whether it is of a run of Airflow's."""
        return self.of == path_segment(run_id)


class KubeflowJobs:
    """
    A server with what it needs, reached through a gate.

    :param folder: of the host, which every step sees under the same path.
    """

    mirror = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.stack = Stack.up(folder / "kubeflow", used_by_me=True)
        self._held = contextlib.ExitStack()
        self.relay = self._held.enter_context(relay_to(self.stack.facts.http))
        self.gate = Gate(urlsplit(self.relay.address).port or 0)
        self.server = Server(self.stack, self.relay)
        self.pods = Pods(self.server, folder / "pods", identity={}, shared=[folder])
        self._seen: dict[str, SeenWorkflow] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workflows", daemon=True)
        self._thread.start()

    def connections(self) -> dict[str, dict[str, Any]]:
        """The server, through the gate."""
        return {CONN_ID: {"conn_type": "kubeflow_pipelines", "host": f"http://127.0.0.1:{self.gate.port}"}}

    def targets(self) -> dict[str, dict[str, Any]]:
        """The host's folder is the artifact root, as a claim that all nodes see."""
        volume = {"claim": "faults", "path": str(self._folder), "uri": self._folder.as_uri()}
        return {TARGET: {"backend": "kubeflow_pipelines", "conn_id": CONN_ID, "image": IMAGE, "volumes": [volume]}}

    def stacks(self, limits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """None."""
        return {}

    def created(self, run_id: str) -> int:
        """How many Workflows there were for a run: two under one id are two."""
        with self._lock:
            return sum(one.is_of(run_id) for one in self._seen.values())

    def stops(self, run_id: str) -> int:
        """How many of them were told to stop."""
        with self._lock:
            return sum(one.is_of(run_id) and one.stopped for one in self._seen.values())

    def runs(self, run_id: str) -> list[str]:
        """The ids of a run's runs on the server."""
        with self._lock:
            return [one.run for one in self._seen.values() if one.is_of(run_id)]

    def take_name(self, name: str, target: str, seconds: int) -> None:
        """Make somebody else's run under the id that a job's name gives."""
        body = run_body(id_of_run(name), name="theirs")
        spec = body["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]["exec-step"]
        spec["container"] = {"image": IMAGE, "command": ["sleep", str(seconds)]}
        self.server.request("POST", "/apis/v2beta1/runs", body).raise_for_status()

    def is_untouched(self, name: str, target: str) -> bool:
        """Whether that run goes on; it is deleted then."""
        run = id_of_run(name)
        state = self.server.request("GET", f"/apis/v2beta1/runs/{run}").json().get("state")
        goes_on = run in self.pods.running
        self.server.request("DELETE", f"/apis/v2beta1/runs/{run}")
        return goes_on and state in ("PENDING", "RUNNING")

    def look(self) -> None:
        """Note every Workflow that is there."""
        for one in self.server.api.get(WORKFLOWS.format(NAMESPACE))["items"]:
            uid, run = one["metadata"]["uid"], one["metadata"]["labels"][RUN_LABEL]
            with self._lock:
                seen = self._seen.setdefault(uid, SeenWorkflow(run, _airflows_run(one)))
                seen.stopped = seen.stopped or one["spec"].get("activeDeadlineSeconds") == 0

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self._thread.join(10)
        self.gate.close()
        self.pods.close()
        self._held.close()
        self.stack.down()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # the server is restarted just now
                time.sleep(LOOK_SECONDS)


def _airflows_run(workflow: Mapping[str, Any]) -> str:
    found = _CONTEXT.search(json.dumps(workflow["spec"]))
    return found["run"] if found else ""


# --- what befalls it -----------------------------------------------------------------------------------------------------


def restarted(cases: Sequence[Any]) -> None:
    """The server is killed while the jobs run, they end meanwhile, and it starts again."""
    system = _system(cases[0])
    for case in cases:
        case.thaw_held()
    time.sleep(1)
    system.stack.kill_api_server()
    time.sleep(5)
    for case in cases:
        case.release()
    time.sleep(5)
    system.stack.start_api_server_again()


def creations_lost(cases: Sequence[Any]) -> None:
    """The requests for the runs are carried out, and the connections cut in the place of their answers."""
    relay = _system(cases[0]).relay
    relay.lose_answers("POST /runs")
    for case in cases:
        case.thaw_held()
    for case in cases:
        case.wait_created()
    relay.heal()
    for case in cases:
        case.wait_jobs(1)
        case.release()


def unavailable(cases: Sequence[Any]) -> None:
    """The gateway before the server answers 503 for a minute; the jobs end meanwhile."""
    relay = _system(cases[0]).relay
    relay.answer(503)
    for case in cases:
        case.thaw_held()
    time.sleep(UNAVAILABLE_SECONDS / 2)
    for case in cases:
        case.release()
    time.sleep(UNAVAILABLE_SECONDS / 2)
    relay.heal()


def archived(case: Any) -> None:
    """Somebody puts the run away while it goes on."""
    case.reach_point()
    system = _system(case)
    case.wait_created()
    for run in system.runs(case.run_id):
        system.server.request("POST", f"/apis/v2beta1/runs/{run}:archive").raise_for_status()
    time.sleep(3)
    case.release()


def deleted(case: Any) -> None:
    """Somebody deletes the run while it goes on: its pod goes with it."""
    case.reach_point()
    system = _system(case)
    case.wait_created()
    case.strike()
    for run in system.runs(case.run_id):
        system.server.request("DELETE", f"/apis/v2beta1/runs/{run}").raise_for_status()
    case.wait_next_try()
    case.release()


def terminated(case: Any) -> None:
    """Somebody terminates the run on its page."""
    case.reach_point()
    system = _system(case)
    case.wait_created()
    case.strike()
    for run in system.runs(case.run_id):
        system.server.request("POST", f"/apis/v2beta1/runs/{run}:terminate").raise_for_status()


def run_again_from_its_page(case: Any) -> None:
    """The run fails, and somebody presses Retry on its page before Airflow's next try begins: then it succeeds."""
    case.reach_point()
    system = _system(case)
    case.wait_created()
    (run,) = system.runs(case.run_id)
    case.release()
    case.wait_state("up_for_retry")
    case.strike()
    system.server.request("POST", f"/apis/v2beta1/runs/{run}:retry").raise_for_status()
    case.wait_jobs(2)


def _system(case: Any) -> KubeflowJobs:
    system = case.system
    assert isinstance(system, KubeflowJobs)
    return system
