"""
Runs manifests that users bring, of any kind that tells how it ends; and looks at objects that others have made.

The life of such a job is every job's: this only says what its request is, which object a job's name means, and how a
kind is stopped that makes its pods anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider_mlx.backends.base import Brought, FoundJob, TargetSettings
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, Problem
from airflow_provider_mlx.step.spec import JobSpec

from .backend import KubernetesBackend
from .kinds import JobKind
from .looking import OBJECT, Looking
from .manifests import asked_by, kind_of, kind_problems, manifest_problems, resource_request
from .names import ATTEMPT, JOB
from .reading import label
from .settings import ResourceSettings


class ResourceBackend(KubernetesBackend):
    """Runs one manifest per job."""

    name = "kubernetes_resource"
    settings_model: ClassVar[type[TargetSettings]] = ResourceSettings
    settings: ResourceSettings

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The manifest with our marks."""
        return resource_request(spec.manifest or {}, self._job_kind, spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """Why this manifest is no job of ours."""
        return kind_problems(self.settings.resource) or manifest_problems(spec.manifest or {}, self.settings)

    def brought(self, spec: JobSpec) -> Brought:
        """Images, service accounts, GPUs and pods of the manifest."""
        return asked_by(spec.manifest or {})

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """The job's object; one that an earlier attempt of the same step has left under its fixed name is none."""
        object_name = (location or {}).get(OBJECT) or self.settings.resource.name or name
        found = self._looking(location).find(object_name)
        return None if found is not None and _is_another_attempt(found.handle.name, name) else found

    def watch_scope(self) -> Mapping[str, Any]:
        """A kind in a namespace; an object's own name makes no watch of its own."""
        return {
            "namespace": self.settings.namespace,
            "resource": self.settings.resource.model_copy(update={"name": ""}).model_dump(mode="json"),
        }

    def _get_or_create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self.settings.resource.name:
            self._make_room(request)
        return super()._get_or_create(request)

    def _make_room(self, request: Mapping[str, Any]) -> None:
        """
        Remove what an attempt before, which is over, has left under the name that both share.

        :raises JobConflict: the name is somebody else's, as an earlier run's.
        """
        ours = request["manifest"]["metadata"]
        there = self._looking(None).job(ours["name"])
        if there is None or label(there, JOB) == request["name"]:
            return
        if not _is_another_attempt(label(there, JOB), request["name"]):
            raise JobConflict(
                f"there is a {there['kind']} `{ours['name']}` in `{request['namespace']}`, and it is not this task's",
                remedy="leave `metadata.name` out: the object then gets a name of this run's own; or remove the other",
            )
        if int(label(there, ATTEMPT)) > int(ours["labels"][ATTEMPT]):  # this worker was frozen while it went on
            raise JobConflict(f"`{ours['name']}` is a later attempt's", remedy="that attempt goes on")
        if not there["metadata"].get("deletionTimestamp"):
            self.client.delete(self._path(there), uid=there["metadata"]["uid"])
        raise BackendUnavailable(f"{ours['name']} of an attempt before is being deleted")

    def _end_pods(self, job: Mapping[str, Any], looking: Looking) -> bool:
        """Kinds that are brought may make a new pod for one that ended: the object itself is stopped."""
        return False

    @property
    def _watches_foreign(self) -> bool:
        return self.settings.resource.foreign

    @cached_property
    def _kind(self) -> JobKind:
        return kind_of(self.settings.resource)

    @property
    def _job_kind(self) -> JobKind:
        return self._kind


def _is_another_attempt(job: str, than: str) -> bool:
    return job != than and job.rpartition("-")[0] == than.rpartition("-")[0]
