"""One look at a job: its object, its pods, and, only where they explain a wait, its events and Kueue's Workload."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, State

from .client import KubernetesClient
from .kinds import JobKind
from .names import DEPLOYMENT, JOB, REQUEST_DIGEST, STOP_REQUESTED
from .paths import collection_path
from .schedulers import KUEUE_QUEUE
from .status import Seen, status_of

_KUEUE_JOB: Final = "kueue.x-k8s.io/job-uid"
_KUEUE_VERSIONS: Final = ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1")

OBJECT: Final = "object"
"""In a handle's location, the name of the job's object where it is not the job's."""

FIRST_QUESTION_SECONDS: Final = 4.0
NEXT_QUESTION_SECONDS: Final = 12.0
"""A job that waits is asked why: not at once, since most start within seconds, and not at every look."""


@dataclass(frozen=True)
class Explanation:
    """What was said about a job that waits, and when it is asked for again (on the monotonic clock)."""

    again: float
    events: Sequence[Mapping[str, Any]] = ()
    workload: Mapping[str, Any] | None = None


class Looking:
    """
    Reads jobs of one kind in one namespace, and remembers what it was told about those that wait.

    :param backend: the backend's name, for handles.
    """

    def __init__(self, client: KubernetesClient, kind: JobKind, backend: str, namespace: str) -> None:
        self._client = client
        self._kind = kind
        self._backend = backend
        self._namespace = namespace
        self._explained: dict[str, Explanation] = {}

    def find(self, name: str) -> FoundJob | None:
        """The job whose object has this name, as it is now."""
        job = self.job(name)
        if job is None:
            self._explained.pop(name, None)
            return None
        digest = (job["metadata"].get("annotations") or {}).get(REQUEST_DIGEST, "")
        return FoundJob(handle_of(self._backend, job), self.status(job), digest)

    def job(self, name: str) -> dict[str, Any] | None:
        """The object of a name."""
        place = collection_path(self._kind.api_version, self._kind.plural, self._namespace)
        found = self._client.get(f"{place}/{name}")
        return None if found is None else {**found, "apiVersion": self._kind.api_version, "kind": self._kind.kind}

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The pods of a job's object; none where its kind does not tell which they are."""
        if not self._kind.pods_label:
            return []
        return self._items("v1", "pods", labelSelector=f"{self._kind.pods_label}={name}")

    def status(self, job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]] | None = None) -> JobStatus:
        """What the job's state is; further questions are asked only while it waits for something."""
        name = job["metadata"]["name"]
        if pods is None and self._kind.pods_label and not self._has_succeeded(job):
            pods = self.pods(name)
        seen = Seen(job, pods)
        status = self._judge(seen)
        if status.state is not State.ACTIVE or status.running or status.stopping:
            self._explained.pop(name, None)
            return status
        told = self._explain(name, seen)
        return self._judge(replace(seen, events=told.events, workload=told.workload))

    def retain(self, names: Collection[str]) -> None:
        """Forget what was said about other jobs."""
        self._explained = {name: told for name, told in self._explained.items() if name in names}

    def _has_succeeded(self, job: Mapping[str, Any]) -> bool:
        """Nothing about its pods changes that."""
        ending = self._kind.ending(job)
        return ending is not None and ending[0] is State.SUCCEEDED

    def _judge(self, seen: Seen) -> JobStatus:
        return status_of(self._kind, seen, stop_annotation=STOP_REQUESTED, now=datetime.now(UTC))

    def _explain(self, name: str, seen: Seen) -> Explanation:
        now = time.monotonic()
        told = self._explained.get(name)
        if told is None:
            told = Explanation(now + FIRST_QUESTION_SECONDS)
        elif now >= told.again:
            told = Explanation(now + NEXT_QUESTION_SECONDS, self._events(seen), self._workload(seen.object))
        self._explained[name] = told
        return told

    def _events(self, seen: Seen) -> list[dict[str, Any]]:
        """Of the job, of the first Job that it makes, and of its first pod."""
        name = seen.object["metadata"]["name"]
        about = [f"involvedObject.uid={seen.object['metadata']['uid']}"]
        about += [f"involvedObject.uid={pod['metadata']['uid']}" for pod in (seen.pods or ())[:1]]
        about += [f"involvedObject.kind=Job,involvedObject.name={name}-node-0"] if self._kind.makes_jobs else []
        return [event for selector in about for event in self._items("v1", "events", fieldSelector=selector)]

    def _workload(self, job: Mapping[str, Any]) -> dict[str, Any] | None:
        """Kueue's view of the job, where it is one of Kueue's."""
        if KUEUE_QUEUE not in (job["metadata"].get("labels") or {}):
            return None
        selector = f"{_KUEUE_JOB}={job['metadata']['uid']}"
        for version in _KUEUE_VERSIONS:
            if found := self._items(version, "workloads", labelSelector=selector):
                return found[0]
        return None

    def _items(self, api_version: str, plural: str, **selector: str) -> list[dict[str, Any]]:
        answer = self._client.get(collection_path(api_version, plural, self._namespace), **selector)
        return list((answer or {}).get("items") or ())


def handle_of(backend: str, job: Mapping[str, Any]) -> JobHandle:
    """The handle of a job's object."""
    metadata = job["metadata"]
    labels = metadata.get("labels") or {}
    location = {"namespace": metadata["namespace"], "deployment": labels.get(DEPLOYMENT, "")}
    name = labels.get(JOB) or metadata["name"]
    if name != metadata["name"]:  # a manifest's own
        location[OBJECT] = metadata["name"]
    return JobHandle(backend, name, id=metadata["uid"], location=location)


def object_of(handle: JobHandle) -> str:
    """The name of a job's object."""
    return handle.location.get(OBJECT) or handle.name
