"""
Sees all our jobs of one namespace by two watches: of the jobs, and of their pods.

Each runs in a thread: list, then watch with bookmarks from there on, and list again when the server has forgotten
where we were (410). What ``observe`` costs follows what has changed; it asks the server only for a job that no watch
has told of, since a watch that lags must not say that a job is gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobHandle, JobObserver, JobStatus, LogChunk, State
from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError

from .client import KubernetesClient
from .followers import Followers
from .kinds import JobKind
from .looking import NEXT_QUESTION_SECONDS, Looking, object_of
from .names import JOB, SELECTOR
from .paths import collection_path
from .pod_log import PodLog
from .reading import at, label
from .status import has_failed
from .watching import Watched

SYNC_SECONDS: Final = 30.0


class KubernetesObserver(JobObserver):
    """
    Keeps the namespace's jobs and pods in memory, pruned to what a status is made of.

    :param foreign: jobs are of interest that are not ours.
    :param only: the only job that is of interest.
    """

    pause_seconds = 0.25  # the server is not asked, so that this only gathers changes which come together

    def __init__(
        self, client: KubernetesClient, kind: JobKind, looking: Looking, namespace: str, *, foreign: bool = False,
        only: JobHandle | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._kind = kind
        self._looking = looking
        self._foreign = foreign
        self._news = threading.Condition()
        jobs = collection_path(kind.api_version, kind.plural, namespace)
        pods = collection_path("v1", "pods", namespace)
        # Our labels are not on the pods of others, of a runtime of the cluster's, and of kinds without a pod template.
        ours = kind.pods_label if foreign or kind.makes_jobs or not kind.templates else SELECTOR
        selector = "" if foreign else SELECTOR
        if only is not None:
            ours, selector = f"{kind.pods_label}={object_of(only)}", f"{JOB}={only.name}"
        self._jobs = Watched(client, jobs, selector, self._news, prune=lambda job: _job(job, kind))
        self._pods = Watched(client, pods, ours, self._news, prune=_pod, by_label=kind.pods_label)
        self._watches = [self._jobs, *([self._pods] if kind.pods_label else [])]
        self._known: dict[str, tuple[Any, JobStatus, float]] = {}
        self._followers = Followers(PodLog(client, kind), namespace)

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """The statuses, at once if anything has changed, else after the wait."""
        until = time.monotonic() + wait_seconds
        before = {job.name: self._known[job.name][1] for job in jobs if job.name in self._known}
        names = {job.name: object_of(job) for job in jobs}
        self._followers.retain(set(names.values()))
        self._looking.retain(set(names.values()))
        for watch in self._watches:
            watch.start()
        with self._news:
            self._news.wait_for(lambda: all(watch.answered for watch in self._watches), SYNC_SECONDS)
            self._check()
        while True:
            with self._news:
                seen = self._changes
                found = {job: (self._jobs.get(name), self._pods_of(name)) for job, name in names.items()}
            statuses = {job.name: self._status(job, *found[job.name]) for job in jobs}
            self._known = {name: known for name, known in self._known.items() if name in statuses}
            with self._news:
                left = until - time.monotonic()
                if statuses != before or left <= 0:
                    return statuses
                self._news.wait_for(lambda: self._changes != seen, left)  # noqa: B023
                self._check()

    def follow(self, handle: JobHandle, cursor: str) -> LogChunk | None:
        """What was printed by a job whose log is followed; only those that run are."""
        known = self._known.get(handle.name)
        if known is None or not known[1].running or known[1].state.finished:
            return LogChunk((), cursor)
        return self._followers.take(object_of(handle), cursor)

    def close(self) -> None:
        """End the watches, and the followers."""
        self._followers.close()
        for watch in self._watches:
            watch.stop()
        self._client.close()

    def _check(self) -> None:
        for watch in self._watches:
            watch.check()

    @property
    def _changes(self) -> int:
        return sum(watch.changes for watch in self._watches)

    def _pods_of(self, name: str) -> Sequence[Mapping[str, Any]] | None:
        return self._pods.of(name) if self._kind.pods_label else None

    def _status(
        self, handle: JobHandle, job: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]] | None
    ) -> JobStatus:
        versions = (job and job["metadata"].get("resourceVersion"), [_version(pod) for pod in pods or ()])
        known, now = self._known.get(handle.name), time.monotonic()
        if known is not None and known[0] == versions:
            # A job that waits may be asked why. And time alone tells that the node of a pod that ends is lost.
            may_differ = not known[1].running or any(at(pod, "metadata.deletionTimestamp") for pod in pods or ())
            if job is None or known[2] > now or not may_differ:
                return known[1]
        try:
            status = self._look(handle, job, pods)
        except BackendUnavailable:
            raise
        except MlxError as error:
            status = JobStatus(State.UNKNOWN, error.what)
        self._known[handle.name] = versions, status, now + NEXT_QUESTION_SECONDS
        return status

    def _look(
        self, handle: JobHandle, job: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]] | None
    ) -> JobStatus:
        # The watch of the jobs may be ahead of that of the pods, which say why a job has failed; and what is kept of a
        # job does not tell whether its pods stay.
        ours = job is not None and (self._foreign or label(job, JOB) in ("", handle.name))
        if job is not None and ours and not has_failed(self._kind, job):
            return self._looking.status(job, pods)
        found = self._looking.find(object_of(handle))
        if found is None or (found.handle.name != handle.name and not self._foreign):
            return JobStatus(State.ABSENT)
        return found.status


def _version(found: Mapping[str, Any]) -> str:
    return str(found["metadata"].get("resourceVersion") or "")


def _job(found: Mapping[str, Any], kind: JobKind) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": _metadata(found),
        "spec": _spec(found, kind),
        "status": found.get("status") or {},
    }


def _spec(found: Mapping[str, Any], kind: JobKind) -> dict[str, Any]:
    kept = {key: (found.get("spec") or {}).get(key) for key in ("suspend", "completions", "parallelism")}
    return {**kept, **kind.suspension(at(found, kind.suspend)).get("spec", {})}


def _pod(found: Mapping[str, Any]) -> dict[str, Any]:
    spec = found.get("spec") or {}
    kept = {key: spec[key] for key in ("nodeName", "schedulerName", "schedulingGates", "resources") if key in spec}
    containers = {part: _containers(spec.get(part) or ()) for part in ("initContainers", "containers")}
    return {"metadata": _metadata(found), "spec": {**kept, **containers}, "status": found.get("status") or {}}


def _containers(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: one[key] for key in ("name", "restartPolicy", "resources") if key in one} for one in found]


def _metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "creationTimestamp",
            "deletionTimestamp", "ownerReferences")  # fmt: skip
    return {key: found["metadata"][key] for key in kept if key in found["metadata"]}
