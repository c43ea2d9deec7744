"""A real Kubernetes as the system behind the steps: its gate, its connection, and what it was asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from airflow_provider_mlx.backends.kubernetes.names import IDENTITY, SELECTOR, STOP_REQUESTED
from tests.cluster.cluster import Cluster

from .gate import Gate

LOOK_SECONDS: Final = 0.2
CONN_ID: Final = "faults_kubernetes"


@dataclass
class SeenJob:
    """One job as the API server had it: it may be gone by now."""

    run_id: str
    stopped: bool = False


class KubernetesJobs:
    """
    A namespace of a cluster, reached through a gate.

    An admin's eye of its own looks at it all the time, since a job that was collected is deleted.

    :param folder: of the host, which every pod sees under the same path.
    """

    mirror = None

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self.namespace = cluster.new_namespace("faults")
        server = urlsplit(cluster.api.url)
        assert server.hostname is not None
        assert server.port is not None
        self.gate = Gate(server.port, host=server.hostname)
        self._jobs: dict[str, SeenJob] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobs of kubernetes", daemon=True)
        self._thread.start()

    def connections(self) -> dict[str, dict[str, Any]]:
        """The admin's kubeconfig, with the gate as the server."""
        config = yaml.safe_load(self._cluster.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        cluster |= {"server": f"https://127.0.0.1:{self.gate.port}", "tls-server-name": "kubernetes.default"}
        return {CONN_ID: {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(config)}}}

    def targets(self) -> dict[str, dict[str, Any]]:
        """The host's folder is the artifact root, so pods write as its owner."""
        volume = {"host_path": str(self._folder), "path": str(self._folder), "uri": self._folder.as_uri()}
        return {"kubernetes": {
            "backend": "kubernetes", "conn_id": CONN_ID, "namespace": self.namespace, "image": self._cluster.image,
            "volumes": [volume], "run_as_user": 0, "non_root": False,
        }}  # fmt: skip

    def stacks(self, limits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """None."""
        return {}

    def created(self, run_id: str) -> int:
        """How many jobs of a run were made."""
        with self._lock:
            return sum(job.run_id == run_id for job in self._jobs.values())

    def stops(self, run_id: str) -> int:
        """How many of them were asked to stop."""
        with self._lock:
            return sum(job.run_id == run_id and job.stopped for job in self._jobs.values())

    def take_name(self, name: str, target: str, seconds: int) -> None:
        """Make somebody else's job under a name."""
        container = {"name": "theirs", "image": self._cluster.image, "command": ["sleep", str(seconds)]}
        spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
        manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
        self._cluster.request("POST", self._path, manifest)

    def is_untouched(self, name: str, target: str) -> bool:
        """Whether that job is as it was made; it is deleted then."""
        job = self._cluster.api.get(f"{self._path}/{name}")
        self._cluster.api.delete(f"{self._path}/{name}?propagationPolicy=Background")
        touched = job["spec"].get("suspend") or job["metadata"].get("deletionTimestamp")
        return not touched and not job["metadata"].get("annotations", {}).get(STOP_REQUESTED)

    def look(self) -> None:
        """It looks all the time."""

    def close(self) -> None:
        """Stop looking, and leave nothing in the cluster."""
        self._ended.set()
        self._thread.join(10)
        self.gate.close()
        self._cluster.delete_namespace(self.namespace)

    @property
    def _path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                for job in self._cluster.api.get(f"{self._path}?labelSelector={SELECTOR}")["items"]:
                    self._note(job["metadata"])
            except Exception:  # an API server that is restarted just now is looked at again
                time.sleep(LOOK_SECONDS)
            self._ended.wait(LOOK_SECONDS)

    def _note(self, metadata: Mapping[str, Any]) -> None:
        annotations = metadata.get("annotations") or {}
        with self._lock:
            run_id = json.loads(annotations[IDENTITY])["run_id"]
            seen = self._jobs.setdefault(metadata["uid"], SeenJob(run_id))
            seen.stopped = seen.stopped or STOP_REQUESTED in annotations
