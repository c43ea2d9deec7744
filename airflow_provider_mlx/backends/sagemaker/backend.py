"""
The ``sagemaker`` backend: a step is a training job, or a processing job.

SageMaker has jobs by name and no second one of a name, so creating one is get-or-create. It brings code and inputs to
the job and may take its results, so that an image needs Python and nothing else; see ``channels.py``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider_mlx.backends.base import (
    FoundJob,
    JobHandle,
    JobObserver,
    JobStatus,
    JobView,
    LogChunk,
    State,
    TargetSettings,
    Usage,
)
from airflow_provider_mlx.backends.one_job import OneJobObserver
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, Problem
from airflow_provider_mlx.runtime.protocol import StoreAccess
from airflow_provider_mlx.step.spec import JobSpec, request_digest

from .aws_backend import AwsBackend
from .channels import mounts
from .client import AwsClient, InUse, Missing
from .credentials import with_credentials
from .leavings import Leavings
from .logs import JobLogs
from .names import REQUEST_DIGEST, sagemaker_name
from .observer import SageMakerObserver
from .plan import job_problems, job_request
from .settings import Kind, SageMakerSettings
from .status import WORDS, Words, status_of
from .usage import usage_of

_PAGES: Mapping[Kind, str] = {"training": "jobs", "processing": "processing-jobs"}


class SageMakerBackend(AwsBackend):
    """Runs steps as jobs of Amazon SageMaker."""

    name = "sagemaker"
    settings_model: ClassVar[type[TargetSettings]] = SageMakerSettings
    settings: SageMakerSettings
    cannot: ClassVar[Mapping[str, str]] = {
        "fractional_gpu": "instances have whole GPUs → ask for gpu=1, or use a kubernetes target with KAI",
        "shm": "the size of /dev/shm cannot be set in SageMaker's containers → leave it out, or use fewer workers that "
        "share memory",
        "priority": "jobs of SageMaker have no priority → leave it out",
    }

    @property
    def region(self) -> str:
        """The target's."""
        return self.settings.region

    # --- planning ------------------------------------------------------------------------------------------------

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request, checked against SageMaker's own model."""
        return job_request(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """No instance that fits, no image, no S3."""
        return job_problems(spec, self.settings)

    def view(self, spec: JobSpec, root: str) -> JobView:
        """What SageMaker brings is there as files; everything else is reached by a client in the image."""
        found = mounts(spec, self.settings)
        keeps = self._kind == "training" or not self.settings.by_channels_alone
        return JobView(store=StoreAccess(mounts=found), keeps_checkpoints=keeps)

    # --- submitting and looking ----------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Create the job; one of this name that is there is adopted if it was made from the same request."""
        digest, body = request_digest(request), request["request"]
        variables = {**body.get("Environment", {}), REQUEST_DIGEST: digest}
        client = self._submitting(request)
        try:
            with contextlib.suppress(InUse):
                client.call(_verb(request["operation"]), **{**body, "Environment": variables})
        finally:
            if client is not self.client:
                client.close()
        found = self.find(request["name"])
        if found is None:
            raise BackendUnavailable(f"the job {request['name']} was there and is gone")
        if found.request_digest != digest:
            raise JobConflict(
                f"the {self._kind} job {sagemaker_name(request['name'])} exists and was made from another request",
                remedy="two Airflows with one `[mlx] deployment_id` use this account and region: give each its own",
            )
        return found.handle

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """Describe the job."""
        job = self._describe(name)
        if job is None:
            return None
        return FoundJob(self._handle(name, job), status_of(self._kind, job), _digest(job))

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """The lines of every instance, from CloudWatch."""
        instances = int(handle.location.get("instances") or 1)
        return self._logs.read(sagemaker_name(handle.name), cursor, instances=instances)

    def observer(self) -> JobObserver:
        """One list for all jobs, with a client of its own: another thread may use this backend's."""
        return SageMakerObserver(self._new_client(), self._kind)

    def observer_of(self, handle: JobHandle) -> JobObserver:
        """Asks for one job, by its name."""
        client = self._new_client()

        def look(job: JobHandle) -> JobStatus:
            found = self._describe(job.name, client)
            return JobStatus(State.ABSENT) if found is None else status_of(self._kind, found)

        return OneJobObserver(look, client.close)

    def watch_scope(self) -> Mapping[str, Any]:
        """A region and a kind of job: one list sees them all."""
        return {"region": self.settings.region, "kind": self._kind}

    def link(self, handle: JobHandle) -> str | None:
        """The job's page in the console."""
        region = handle.location.get("region")
        if not region:
            return None
        place = f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}"
        return f"{place}#/{_PAGES[self._kind]}/{sagemaker_name(handle.name)}"

    # --- ending --------------------------------------------------------------------------------------------------

    def cancel(self, handle: JobHandle) -> None:
        """Stop it: SIGTERM, and 120 s for the step's code. What ends meanwhile is no error."""
        self._stop_unless_over(
            lambda: self._is_over(handle),
            lambda: self.client.call(f"stop_{self._kind}_job", **self._named(handle.name)),
        )

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """Bring what SageMaker has taken from the job into the attempt's folder, and its last word."""
        job = self._describe(handle.name)
        if job is None:
            return
        status = status_of(self._kind, job)
        if not status.state.finished:
            return
        Leavings(self.store, self._kind, job).bring(status)
        if status.state.value != "succeeded" and self.settings.keep == "never":
            self._delete(handle)

    def usage(self, handle: JobHandle) -> Usage:
        """Its instances, the time that is billed, and the target's price."""
        job = self._describe(handle.name)
        return Usage() if job is None else usage_of(self._kind, job, self.settings.prices)

    def forget(self, handle: JobHandle) -> None:
        """Delete the job's record, unless the target keeps it, as it does by default."""
        self._logs.forget(sagemaker_name(handle.name))
        if self.settings.keep != "always":
            self._delete(handle)

    # --- parts ---------------------------------------------------------------------------------------------------

    @property
    def _kind(self) -> Kind:
        return self.settings.kind

    @property
    def _words(self) -> Words:
        return WORDS[self._kind]

    def _submitting(self, request: Mapping[str, Any]) -> AwsClient:
        """The client that creates the job: where the target says so, in the name of a role and with session tags."""
        session = request.get("session")
        if session is None:
            return self.client
        answer = self.client.call(
            "assume_role", service="sts", RoleArn=session["role_arn"], RoleSessionName=sagemaker_name(request["name"]),
            Tags=[{"Key": key, "Value": value} for key, value in sorted(session["tags"].items())],
        )  # fmt: skip
        given = answer["Credentials"]

        def assumed() -> Any:
            return with_credentials(self._session(), given)

        return AwsClient(assumed, self.client.region)

    def _describe(self, name: str, client: AwsClient | None = None) -> dict[str, Any] | None:
        try:
            return (client or self.client).call(f"describe_{self._kind}_job", **self._named(name))
        except Missing:
            return None

    def _is_over(self, handle: JobHandle) -> bool:
        found = self.find(handle.name)
        return found is None or found.status.state.finished or found.status.stopping

    def _delete(self, handle: JobHandle) -> None:
        try:
            self.client.call(f"delete_{self._kind}_job", **self._named(handle.name))
        except (Missing, InUse):
            return

    def _named(self, name: str) -> dict[str, str]:
        return {self._words.name: sagemaker_name(name)}

    def _handle(self, name: str, job: Mapping[str, Any]) -> JobHandle:
        arn = str(job[self._words.arn])
        location = {"region": arn.split(":")[3], "instances": str(_instances(self._kind, job))}
        return JobHandle(self.name, name, id=arn, location=location)

    @cached_property
    def _logs(self) -> JobLogs:
        return JobLogs(self.client, self._kind)


def _verb(operation: str) -> str:
    """``CreateTrainingJob`` → ``create_training_job``."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower()


def _digest(job: Mapping[str, Any]) -> str:
    return str((job.get("Environment") or {}).get(REQUEST_DIGEST, ""))


def _instances(kind: Kind, job: Mapping[str, Any]) -> int:
    where = job["ResourceConfig"] if kind == "training" else job["ProcessingResources"]["ClusterConfig"]
    return int(where.get("InstanceCount") or 1)
