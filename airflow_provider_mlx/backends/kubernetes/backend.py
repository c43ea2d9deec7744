"""
The ``kubernetes`` backend: a step is a Job, several nodes are an Indexed Job with a headless service.

The job is made first, and what belongs to it right after, owned by it: whatever happens in between, deleting the job
removes all of it, and submitting again makes what is missing.
"""

from __future__ import annotations

import gzip
import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final

from airflow_provider_mlx.backends.base import (
    Backend,
    FoundJob,
    JobHandle,
    JobObserver,
    JobView,
    LogChunk,
    State,
    TargetSettings,
    Usage,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured, Problem
from airflow_provider_mlx.runtime.protocol import RESULT_FILE, StoreAccess
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.spec import JobSpec, request_digest

from .client import KubernetesClient, Refused
from .credentials import cluster_access
from .kinds import KINDS, JobKind
from .looking import Looking, handle_of, object_of
from .mounts import CODE_FILE, CONFIG_MAP_BYTES, store_mounts
from .names import OUTPUTS, REQUEST_DIGEST, RESULT, STOP_REQUESTED
from .paths import collection_path, object_path, plural_of
from .plan import job_request
from .pod import pod_problems
from .pod_log import PodLog
from .reading import annotation, maps
from .refusals import creation_error
from .results import TERMINATION_MESSAGE, result_of
from .schedulers import KUEUE_QUEUE
from .scheduling import placement_problems
from .settings import KubernetesSettings
from .status import has_ended, stop_note
from .usage import image_digest

WEBHOOK_SECONDS: Final = 10.0
GONE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
NOTE_LIMIT: Final = 2000
"""Characters of the word about why a job was stopped: annotations are for people, and few."""
STOP_SECONDS: Final = 1
"""``activeDeadlineSeconds`` of a pod that is to stop: the kubelet sends SIGTERM and keeps the pod, and its log."""


class KubernetesBackend(Backend):
    """Runs steps as Jobs of a Kubernetes cluster."""

    name = "kubernetes"
    settings_model: ClassVar[type[TargetSettings]] = KubernetesSettings
    settings: KubernetesSettings
    kind: ClassVar[str] = "Job"
    cannot: ClassVar[Mapping[str, str]] = {}
    with_setting: ClassVar[Mapping[str, str]] = {"fractional_gpu": "scheduler: kai", "spot": "spot: {…}"}

    @cached_property
    def client(self) -> KubernetesClient:
        """The cluster's API server; nothing is opened before it is asked for something."""
        return KubernetesClient(self._access)

    # --- planning ------------------------------------------------------------------------------------------------

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The Job, and the service of its pods where there are several."""
        return job_request(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What no pod of this target can be or have."""
        return placement_problems(spec.resources, self.settings) + pod_problems(spec, self.settings)

    def view(self, spec: JobSpec, root: str) -> JobView:
        """The target's volumes show parts of the store; everything else is reached by a client in the image."""
        return JobView(store=StoreAccess(mounts=store_mounts(self.settings)))

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Get or create the job, then what it owns."""
        before, namespace = request.get("before", ()), request["namespace"]
        job = self._after(before, request)
        owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": request["name"]}
        owner["uid"] = job["metadata"]["uid"]
        for manifest in before:  # what had to be there first belongs to the job all the same
            path = object_path({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}})
            self.client.patch(path, {"metadata": {"ownerReferences": [owner]}})
        for manifest in [*self._code(request), *request["objects"]]:
            owned = {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}
            self._create(owned, namespace, of=request["name"])
        return handle_of(self.name, job)

    def _after(self, before: Sequence[Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        """
        Get or create the job when what it refers to is there.

        The webhook that looks for it has a cache, and what a job of the same name has left goes with that job.
        """
        until = time.monotonic() + (WEBHOOK_SECONDS if before else 0.0)
        while True:
            for manifest in before:
                self._create(manifest, request["namespace"], of=request["name"])
            try:
                return self._get_or_create(request)
            except JobMisconfigured as refused:
                if "must be created before" not in refused.what or time.monotonic() > until:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _get_or_create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kind, digest = self._job_kind, request_digest(request)
        manifest = json.loads(json.dumps(request["manifest"]))
        manifest["metadata"]["annotations"][REQUEST_DIGEST] = digest
        self._fit(manifest, request)
        place = collection_path(kind.api_version, kind.plural, request["namespace"])
        made = self._create_unless_there(place, manifest, kind.kind, request["namespace"])
        if made is not None:
            return made
        found = self.client.get(f"{place}/{manifest['metadata']['name']}")
        if found is None:
            raise BackendUnavailable(f"the job {request['name']} was there and is gone")
        if found["metadata"].get("deletionTimestamp"):
            raise BackendUnavailable(f"a job {request['name']} is being deleted, and not gone yet")
        if (found["metadata"].get("annotations") or {}).get(REQUEST_DIGEST) != digest:
            raise JobConflict(
                f"the job {request['name']} exists in `{request['namespace']}` and was made from another request",
                remedy="two Airflows with one `[mlx] deployment_id` share this namespace: give each its own",
            )
        return {"apiVersion": kind.api_version, "kind": kind.kind, **found}

    def _fit(self, manifest: dict[str, Any], request: Mapping[str, Any]) -> None:
        """Spell what different versions of the cluster's operators spell differently."""

    def _code(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The ConfigMap that brings the bundle: deflated, and the job's own."""
        code = request.get("code")
        if code is None:
            return []
        data = self.store.read(code["uri"])
        if data is None:
            raise BackendUnavailable(f"the code {code['uri']} is not in the artifact root")
        deflated = gzip.compress(data, 6, mtime=0)
        if len(deflated) > CONFIG_MAP_BYTES:
            raise JobMisconfigured(
                f"the step's code has {len(deflated):,} bytes, and a ConfigMap takes {CONFIG_MAP_BYTES:,}",
                remedy="set `code: store` in the target (the image then needs boto3 or obstore), or mount the root",
            )
        return [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": code["config_map"], "labels": dict(request["manifest"]["metadata"]["labels"])},
                "immutable": True,
                "binaryData": {CODE_FILE: b64encode(deflated).decode()},
            }
        ]

    def _create(self, manifest: Mapping[str, Any], namespace: str, *, of: str) -> None:
        """
        Make an object beside the job, unless it is there.

        :param of: the job's name. What another job owns was left by one of the same name that is gone, and follows it.
        """
        place = collection_path(manifest["apiVersion"], plural_of(manifest["kind"]), namespace)
        body = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
        until = time.monotonic() + GONE_SECONDS
        while time.monotonic() < until:
            if self._create_unless_there(place, body, manifest["kind"], namespace) is not None:
                return
            path = f"{place}/{manifest['metadata']['name']}"
            there = self.client.get(path)
            owners = [owner["uid"] for owner in maps(there, "metadata.ownerReferences")]
            # asked for after the owners: another worker may have made both just now
            job = self._looking({"namespace": namespace}).job(of) if owners else None
            if there is not None and (not owners or (job is not None and job["metadata"]["uid"] in owners)):
                return
            if there is not None:
                self.client.delete(path, uid=there["metadata"]["uid"])
                time.sleep(PAUSE_SECONDS)
        raise BackendUnavailable(f"{manifest['kind']} {manifest['metadata']['name']} of a job before is not gone yet")

    def _create_unless_there(
        self, place: str, body: Mapping[str, Any], kind: str, namespace: str
    ) -> dict[str, Any] | None:
        """The new object; ``None`` if there is one of its name."""
        try:
            return self.client.create(place, body)
        except Refused as refused:
            if refused.code != 409 or refused.reason != "AlreadyExists":
                raise creation_error(refused, kind=kind, namespace=namespace) from None
            return None

    # --- looking -------------------------------------------------------------------------------------------------

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """The job's object and its pods."""
        return self._looking(location).find(name)

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """The main container's lines, of rank 0 where there are several pods."""
        return self._log.read(self._namespace(handle.location), object_of(handle), cursor)

    def observer(self) -> JobObserver:
        """One watch of the jobs and one of their pods."""
        return self._observer(self.settings.namespace)

    def observer_of(self, handle: JobHandle) -> JobObserver:
        """The same for one job alone."""
        return self._observer(self._namespace(handle.location), only=handle)

    def _observer(self, namespace: str, *, only: JobHandle | None = None) -> JobObserver:
        from .observer import KubernetesObserver

        # With a client of its own: another thread may use this backend's.
        backend = type(self)(self.settings, self.conn_id, read_connection=self.read_connection)
        looking = backend._looking({"namespace": namespace})
        return KubernetesObserver(
            backend.client, self._job_kind, looking, namespace, foreign=self._watches_foreign, only=only
        )

    def watch_scope(self) -> Mapping[str, Any]:
        """A namespace: one watch sees all our jobs in it."""
        return {"namespace": self.settings.namespace}

    def link(self, handle: JobHandle) -> str | None:
        """By the target's ``console_url``."""
        if not self.settings.console_url:
            return None
        place = {"namespace": self._namespace(handle.location), "uid": handle.id}
        return self.settings.console_url.format_map({**place, "job": handle.name, "kind": self._job_kind.kind})

    # --- ending --------------------------------------------------------------------------------------------------

    def cancel(self, handle: JobHandle) -> None:
        """
        Mark the job; then let the kubelets end its running pods, so that their logs stay, and suspend what never ran.

        A job in Kueue's hands is deleted while it has no pods: Kueue would resume what somebody else suspends.
        """
        looking = self._looking(handle.location)
        job = looking.job(object_of(handle))
        if job is not None and not looking.status(job).state.finished:
            self._stop(job, looking, "Airflow asked for it")

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """
        Write down what a container without our runtime said; and put to rest a job that cannot start, as one whose
        image cannot be pulled: the cluster would try for ever.
        """
        looking = self._looking(handle.location)
        job = looking.job(object_of(handle))
        if job is None:
            return
        status = looking.status(job)
        if not status.state.finished:
            return
        if status.state is State.SUCCEEDED and annotation(job, RESULT) == TERMINATION_MESSAGE:
            result = result_of(self._job_kind, job, looking.pods(job["metadata"]["name"]))
            self.store.create(join(annotation(job, OUTPUTS), RESULT_FILE), json.dumps(result, indent=1).encode())
        if status.state is State.SUCCEEDED:
            return
        if not has_ended(self._job_kind, job):
            self._stop(job, looking, stop_note(status))
        elif self.settings.keep == "never":
            self._delete(job)

    def usage(self, handle: JobHandle) -> Usage:
        """The image that its pods ran."""
        pods = self._looking(handle.location).pods(object_of(handle))
        return Usage(image_digest(self._job_kind, pods))

    def forget(self, handle: JobHandle) -> None:
        """Delete the job, and with it everything it owns, unless the target keeps what has finished."""
        if (
            self.settings.keep != "always"
            and (job := self._looking(handle.location).job(object_of(handle))) is not None
        ):
            self._delete(job)

    def _stop(self, job: Mapping[str, Any], looking: Looking, why: str) -> None:
        path = self._path(job)
        if STOP_REQUESTED not in (job["metadata"].get("annotations") or {}):  # the first word stays
            self.client.patch(path, {"metadata": {"annotations": {STOP_REQUESTED: why[:NOTE_LIMIT]}}})
        if self._end_pods(job, looking):
            return
        if KUEUE_QUEUE in (job["metadata"].get("labels") or {}):
            self._delete(job)
        elif not self._job_kind.suspend:  # it is there until its pods are gone
            self.client.delete(path, uid=job["metadata"]["uid"], propagation="Foreground")
        else:  # deletes pending pods and makes no new ones; the object stays and tells what became of it
            self.client.patch(path, self._job_kind.suspension(True))

    def _end_pods(self, job: Mapping[str, Any], looking: Looking) -> bool:
        """Shorten the time of every pod that a kubelet has taken; whether there was one."""
        taken = [pod for pod in looking.pods(job["metadata"]["name"]) if pod["spec"].get("nodeName")]
        alive = [pod for pod in taken if (pod.get("status") or {}).get("phase") in ("Pending", "Running")]
        for pod in alive:
            path = object_path({"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]})
            self.client.patch(path, {"spec": {"activeDeadlineSeconds": STOP_SECONDS}})
        return bool(alive)

    def _delete(self, job: Mapping[str, Any]) -> None:
        if self.client.delete(self._path(job), uid=job["metadata"]["uid"]):
            return
        until = time.monotonic() + GONE_SECONDS
        while self.client.get(self._path(job)) is not None and time.monotonic() < until:
            time.sleep(PAUSE_SECONDS)

    # --- parts ---------------------------------------------------------------------------------------------------

    @property
    def _watches_foreign(self) -> bool:
        """Whether jobs are looked at that are not ours."""
        return False

    @property
    def _job_kind(self) -> JobKind:
        return KINDS[self.kind]

    @cached_property
    def _log(self) -> PodLog:
        return PodLog(self.client, self._job_kind)

    def _path(self, job: Mapping[str, Any]) -> str:
        kind, metadata = self._job_kind, job["metadata"]
        return f"{collection_path(kind.api_version, kind.plural, metadata['namespace'])}/{metadata['name']}"

    @cached_property
    def _looks(self) -> dict[str, Looking]:
        return {}

    def _namespace(self, location: Mapping[str, str] | None) -> str:
        return (location or {}).get("namespace") or self.settings.namespace

    def _looking(self, location: Mapping[str, str] | None) -> Looking:
        namespace = self._namespace(location)
        if namespace not in self._looks:
            self._looks[namespace] = Looking(self.client, self._job_kind, self.name, namespace)
        return self._looks[namespace]

    def _access(self) -> Any:
        return cluster_access(self.read_connection(self.conn_id) if self.conn_id else None)
