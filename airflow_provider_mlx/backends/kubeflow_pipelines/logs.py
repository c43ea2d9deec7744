"""
The log of a step's pod: from the cluster, where the target names a connection to it, else from the server.

The server's own route has the log of a pod in multi-user mode only, or where Argo's archive is set up by another key
than upstream's; and what it takes from the archive lacks empty lines, lines that are JSON, and everything behind a line
of 64 KiB (``archive/log.go``). The cluster has all of it while the pod is there. Lines of Kubeflow's launcher are left
out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from airflow_provider_mlx.backends.base import JobHandle, LogChunk
from airflow_provider_mlx.backends.kubernetes.client import KubernetesClient
from airflow_provider_mlx.backends.kubernetes.followers import Followers
from airflow_provider_mlx.backends.kubernetes.kinds import JobKind
from airflow_provider_mlx.backends.kubernetes.names import JOB
from airflow_provider_mlx.backends.kubernetes.pod_log import PodLog

from .client import KubeflowPipelinesClient
from .faults import own_lines
from .names import run_id
from .status import STATES
from .workflow import nodes_of

POD: Final = JobKind(
    api_version="v1", kind="Pod", plural="pods", succeeded=(), failed=(), pods_label=JOB, main_containers=("main",)
)
"""A step's pod, by the label that its pipeline gives it; Argo calls the container with the code ``main``."""
SERVER_SECONDS: Final = 10.0
"""How often the server is asked for the log of a run that is not over: it sends all of it each time."""


class StepLog(Protocol):
    """Reads the log of a job's pod."""

    def read(self, handle: JobHandle, cursor: str) -> LogChunk:
        """
        The lines since a cursor.

        :raises BackendUnavailable: the log cannot be read now.
        """


class PodsInCluster:
    """Reads from Kubernetes itself, line by line with their times."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._log = PodLog(client, POD)
        self._namespace = namespace

    def read(self, handle: JobHandle, cursor: str) -> LogChunk:
        """The lines since a cursor."""
        return _own(self._log.read(self._namespace, handle.name, cursor))


class FollowedPods:
    """The logs of running jobs, as they are written."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._followers = Followers(PodLog(client, POD), namespace)
        self._client = client

    def take(self, job: JobHandle, cursor: str) -> LogChunk:
        """What has come since the cursor; never waits."""
        return _own(self._followers.take(job.name, cursor))

    def retain(self, jobs: Sequence[JobHandle]) -> None:
        """End what follows other jobs."""
        self._followers.retain({job.name for job in jobs})

    def close(self) -> None:
        """End all of them."""
        self._followers.close()
        self._client.close()


class PodsByServer:
    """
    Reads by the server's route; empty where it has none.

    :param clock: seconds, monotonic.
    """

    def __init__(self, client: KubeflowPipelinesClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._read_at: dict[str, float] = {}

    def read(self, handle: JobHandle, cursor: str) -> LogChunk:
        """The lines behind the first ``cursor`` ones: all of a run that is over, else now and then."""
        run = self._client.find_run(run_id(handle.name))
        if run is None:
            return LogChunk((), cursor)
        state = STATES.get(str(run.get("state") or ""))
        over = state is not None and state.finished
        if not over and self._clock() - self._read_at.get(handle.name, float("-inf")) < SERVER_SECONDS:
            return LogChunk((), cursor)
        self._read_at[handle.name] = self._clock()
        *whole, rest = self.text(run_id(handle.name)).split("\n")
        whole += [rest] if over and rest else []
        taken = int(cursor or 0)
        return LogChunk(tuple(own_lines(whole[taken:])), str(max(taken, len(whole))))

    def text(self, run: str) -> str:
        """All that the last pod of a run's step has printed."""
        workflow = self._client.workflow_of(run)
        pods = [node.pod for node in nodes_of(workflow or {}) if node.part == "executor" and node.pod]
        return self._client.pod_log(run, pods[-1]) if pods else ""


def _own(chunk: LogChunk) -> LogChunk:
    return LogChunk(tuple(own_lines(chunk.lines)), chunk.cursor)
