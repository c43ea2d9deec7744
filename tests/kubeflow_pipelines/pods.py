"""
The hands of Argo, of Kubeflow's launcher and of a kubelet for pipelines of one task: a step's process really runs.

Every Workflow in the namespace is taken up; its task's container is a process in namespaces of its own
(``tests/aws/container.py``), with the variables, secrets and limits that the pipeline gives it. What becomes of it is
reported node by node as Argo writes it. Its log lies where the server looks for an archived one. As with the real
launcher, a step that is terminated gets no time, and the pod's exit code is 1 whatever the step's was.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import httpx

from tests.aws.container import Container, Host
from tests.aws.images import install, interpreter, is_missing
from tests.cluster.problems import ApiRefused

from .server import RUN_LABEL, WORKFLOWS, Server
from .stack import LOOPBACK, NAMESPACE

LOOK_SECONDS: Final = 0.1
LOG_SECONDS: Final = 0.5
"""How often a running pod's log is brought up to date."""
BUCKET: Final = "mlpipeline"
_FAILED: Final = "Error (exit code 1)"
_STOPPED: Final = "Step exceeded its deadline"
_TOO_LONG: Final = "Pod was active on the node longer than the specified deadline"
_CANNOT_PULL: Final = 'ImagePullBackOff: Back-off pulling image "{}"'


class Pods:
    """
    Runs the steps of a server until it is closed.

    :param identity: variables that every pod has besides its pipeline's, as a cluster injects the identity of a
        service account.
    :param shared: folders of this host below ``/tmp`` that every pod sees.
    :ivar started: names of the Workflows whose step was begun, one each time.
    """

    def __init__(
        self, server: Server, folder: Path, *, identity: Mapping[str, str], shared: Sequence[Path] = ()
    ) -> None:
        self.server = server
        self.identity = dict(identity)
        # of /tmp a pod sees its own alone; the interpreter of this environment may be there
        self.shared = [folder for folder in (*shared, Path(sys.prefix)) if folder.is_relative_to("/tmp")]
        self.started: list[str] = []
        self.problems: list[str] = []
        self._folder = folder
        self._pods: dict[str, _Pod] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pods", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every step."""
        self._over.set()
        self._thread.join(30)
        for pod in self._pods.values():
            pod.kill()

    @property
    def running(self) -> list[str]:
        """The runs whose step's process is there now."""
        return [pod.run_id for pod in list(self._pods.values()) if pod.is_running]

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._look()
            except (ApiRefused, httpx.HTTPError) as error:
                if isinstance(error, ApiRefused) and error.status != 429:  # it begins to know a kind
                    self.problems.append(str(error))
            except Exception:
                self.problems.append(traceback.format_exc())

    def _look(self) -> None:
        there = {one["metadata"]["uid"]: one for one in self.server.api.get(WORKFLOWS.format(NAMESPACE))["items"]}
        for uid, workflow in there.items():
            phase = (workflow.get("status") or {}).get("phase", "")
            if uid not in self._pods and phase not in ("Succeeded", "Failed", "Error"):
                self._pods[uid] = _Pod(self, workflow)
            if uid in self._pods:
                self._pods[uid].look(workflow)
        for uid in self._pods.keys() - there.keys():
            self._pods.pop(uid).kill()


@dataclass
class _Pod:
    """The pod of one Workflow's step."""

    pods: Pods
    workflow: Mapping[str, Any]
    container: Container | None = None
    lines: list[str] = field(default_factory=list)
    stopping: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    reported: str = ""
    logged_at: float = 0.0
    until: float = float("inf")
    folder: Path | None = None
    logged: int = 0

    @property
    def name(self) -> str:
        return str(self.workflow["metadata"]["name"])

    @property
    def run_id(self) -> str:
        return str(self.workflow["metadata"]["labels"][RUN_LABEL])

    @property
    def is_running(self) -> bool:
        return self.container is not None and not self.ended.is_set()

    def look(self, workflow: Mapping[str, Any]) -> None:
        """Do what is due, and report what has changed."""
        self.workflow = workflow
        if self.reported in ("Succeeded", "Failed"):
            if (workflow.get("status") or {}).get("phase") != "Running":
                return
            self.container, self.reported, self.stopping = None, "", ""  # somebody has it run again
            self.ended = threading.Event()
        if workflow["spec"].get("activeDeadlineSeconds") == 0:
            self._stop(_STOPPED)
        elif time.monotonic() > self.until:
            self._stop(_TOO_LONG)
        if self.container is None and not self.stopping:
            self._start()
        if self.ended.is_set():
            self._finish()
        elif self.container is not None and time.monotonic() - self.logged_at > LOG_SECONDS:
            self._archive()

    def kill(self) -> None:
        """As the deletion of the Workflow: nothing is reported any more."""
        self.reported = "Failed"
        if self.container is not None:
            self.container.kill()
            self.ended.wait(10)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- its life ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        executor, platform = self._asked()
        container = executor["container"]
        if is_missing(container["image"]):
            self._report("Pending", _CANNOT_PULL.format(container["image"]))
            return
        try:
            secrets = dict(self._secrets(platform))
        except ApiRefused as refused:
            self._report("Pending", f"CreateContainerConfigError: {refused}")
            return
        self.pods._folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="pod-", dir=self.pods._folder))
        programs = self.folder / "opt" / "bin"
        install(interpreter(container["image"], None), programs)
        (self.folder / "tmp").mkdir()
        # of its own each time: who looks from outside knows a process by its host
        host = Host(f"{self.name}-{len(self.pods.started)}", LOOPBACK)
        environment = {
            "PATH": f"/opt/bin:{_PATH}", "HOME": "/tmp", "HOSTNAME": host.name, **self.pods.identity,
            **{one["name"]: one.get("value", "") for one in container.get("env") or ()}, **secrets,
        }  # fmt: skip
        command = [*container.get("command", ()), *container.get("args", ())]
        self.container = Container(
            self.folder, host, hosts=[host], command=command, environment=environment, shared=self.pods.shared
        )
        if seconds := platform.get("activeDeadlineSeconds"):
            self.until = time.monotonic() + float(seconds)
        self.pods.started.append(self.name)
        self.container.start(self._take, lambda _: self.ended.set())
        self._report("Running")

    def _stop(self, why: str) -> None:
        if self.stopping:
            return
        self.stopping = why
        if self.container is None:
            self.ended.set()
        else:
            self.container.send(signal.SIGKILL)

    def _finish(self) -> None:
        code = self.container.exit_code if self.container is not None else None
        if code and not self.stopping:
            how = f"signal: {signal.Signals(code - 128).name}" if code > 128 else f"exit status {code}"
            how = how.replace("SIGKILL", "killed").replace("SIGTERM", "terminated")
            self.lines.append(f"F1126 10:00:00.000001      16 main.go:52] failed to execute component: {how}")
        self._archive()
        failed = bool(self.stopping) or code != 0
        self._report("Failed" if failed else "Succeeded", (self.stopping or _FAILED) if failed else "")
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, lines: list[tuple[int, str]]) -> None:
        self.lines += [text for _, text in lines]

    # --- what others see ---------------------------------------------------------------------------------------------

    def _report(self, phase: str, message: str = "") -> None:
        if self.reported != phase + message:
            self.pods.server.report(self.run_id, phase, message=message, workflow=self.name)
        self.reported = phase + message if phase == "Pending" else phase

    def _archive(self) -> None:
        """Where Argo would, with keys by Workflow and pod (``keyFormat``), which the server's route wants."""
        self.logged_at = time.monotonic()
        text = "".join(f"{line}\n" for line in list(self.lines)).encode()
        if len(text) == self.logged:
            return
        self.logged = len(text)
        key = f"artifacts/{self.name}/{self._pod_name()}/main.log"
        objects(self.pods.server).put_object(Bucket=BUCKET, Key=key, Body=text)

    def _pod_name(self) -> str:
        from airflow_provider_mlx.backends.kubeflow_pipelines.workflow import nodes_of

        whole = self.pods.server.api.get(f"{WORKFLOWS.format(NAMESPACE)}/{self.name}")
        return next((node.pod for node in nodes_of(whole) if node.part == "executor" and node.pod), "none")

    def _asked(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The executor's container and its Kubernetes part, from the run that the server keeps."""
        answer = self.pods.server.request("GET", f"/apis/v2beta1/runs/{self.run_id}")
        answer.raise_for_status()
        told = answer.json().get("pipeline_spec")
        if told is None:  # it is registered, and the run names its version
            version = answer.json()["pipeline_version_reference"]
            path = f"/apis/v2beta1/pipelines/{version['pipeline_id']}/versions/{version['pipeline_version_id']}"
            told = self.pods.server.request("GET", path).json()["pipeline_spec"]
        spec, platform = told.get("pipeline_spec", told), told.get("platform_spec") or {}
        (label,) = spec["deploymentSpec"]["executors"]
        configs = ((platform.get("platforms") or {}).get("kubernetes") or {}).get("deploymentSpec") or {}
        return spec["deploymentSpec"]["executors"][label], (configs.get("executors") or {}).get(label) or {}

    def _secrets(self, platform: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for one in platform.get("secretAsEnv") or ():
            held = self.pods.server.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{one['secretName']}")
            for pair in one["keyToEnv"]:
                yield pair["envVar"], base64.b64decode(held["data"][pair["secretKey"]]).decode()


_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def objects(server: Server) -> Any:
    """A client of the server's object store."""
    address = f"http://{LOOPBACK}:{server.stack.facts.objects}"
    return boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="minio", aws_secret_access_key="minio123"
    )


@contextlib.contextmanager
def running_pods(server: Server, folder: Path, *, identity: Mapping[str, str]) -> Iterator[Pods]:
    """Steps run as long as the block lasts."""
    pods = Pods(server, folder, identity=identity)
    try:
        yield pods
    finally:
        pods.close()
