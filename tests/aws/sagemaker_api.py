"""The operations of SageMaker that jobs need; pages cited are of https://docs.aws.amazon.com/sagemaker/latest/APIReference/."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from .errors import AwsError, Unsupported, validation
from .jobs import Command, Job
from .listing import list_jobs
from .objects import split_uri
from .pipelines import PipelinesApi
from .processing import ProcessingJob, check_processing_request
from .roles import Principal
from .running import JobRun
from .service_model import check_request
from .site import Site
from .training import TrainingJob, check_training_request
from .transfers import NO_OBJECTS
from .warm_pools import take_over
from .warm_pools import update as update_pool
from .workers import Workers

_TAKEN: Final = {
    # as users report them
    TrainingJob: "Training job names must be unique within an AWS account and region, and a training job with this name already exists ({arn})",
    ProcessingJob: "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
}
_UNKNOWN: Final = {
    # the model names ResourceNotFound; what comes is a ValidationException, for instance in
    # https://github.com/aws/amazon-sagemaker-examples/issues/2360
    TrainingJob: "Requested resource not found.",
    ProcessingJob: "Could not find requested job with name: {name}",
}


class SageMakerApi:
    """
    Answers by operation name.

    :param execute: False leaves jobs as they are until :meth:`finish`.
    :param workers: how many jobs have instances at a time.
    :param checks_inputs: refuse a training job whose channels have no objects, as CreateTrainingJob does.
    """

    def __init__(self, site: Site, *, execute: bool, workers: int, checks_inputs: bool) -> None:
        self._site, self._execute, self._checks_inputs = site, execute, checks_inputs
        self._lock = threading.Lock()
        self._jobs: dict[type[Job], dict[str, Job]] = {TrainingJob: {}, ProcessingJob: {}}
        self._by_arn: dict[str, Job] = {}
        self._pool = Workers(workers)
        self.operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateTrainingJob": lambda asked: self._create(TrainingJob, asked),
            "CreateProcessingJob": lambda asked: self._create(ProcessingJob, asked),
            "DescribeTrainingJob": lambda asked: self._found(TrainingJob, asked).describe(),
            "DescribeProcessingJob": lambda asked: self._found(ProcessingJob, asked).describe(),
            "ListTrainingJobs": lambda asked: self._list(TrainingJob, asked),
            "ListProcessingJobs": lambda asked: self._list(ProcessingJob, asked),
            "StopTrainingJob": lambda asked: self._stop(TrainingJob, asked),
            "StopProcessingJob": lambda asked: self._stop(ProcessingJob, asked),
            "DeleteTrainingJob": lambda asked: self._delete(TrainingJob, asked),
            "DeleteProcessingJob": lambda asked: self._delete(ProcessingJob, asked),
            "UpdateTrainingJob": self._update,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
            **PipelinesApi(site, self).operations,
        }

    # --- for tests ---------------------------------------------------------------------------------------------------

    def job(self, name: str) -> Job:
        """
        A job of either kind.

        :raises KeyError: there is none.
        """
        for jobs in self._jobs.values():
            if name in jobs:
                return jobs[name]
        raise KeyError(name)

    def everything(self) -> list[Job]:
        """All jobs, in the order of creation."""
        return sorted((job for jobs in self._jobs.values() for job in list(jobs.values())), key=lambda job: job.number)

    def finish(self, name: str, status: str, reason: str) -> None:
        """End a job that is not run."""
        job = self.job(name)
        job.begin()
        job.show(status, status, reason=reason)

    def close(self, seconds: float) -> None:
        """Start nothing more, end what runs, and wait for it."""
        self._pool.close()
        for job in self.everything():
            job.commands.put(Command("kill"))
        self._pool.wait(seconds)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def create_training_job(self, asked: Mapping[str, Any], session_tags: Mapping[str, str]) -> dict[str, Any]:
        """
        Of a caller whose session has tags: with EnableSessionTagChaining SageMaker will "extract session tags from a
        training job creation role and reuse these tags when assuming the training job execution role"
        (API_SessionChainingConfig); without, the job has none of them.
        """
        chains = (asked.get("SessionChainingConfig") or {}).get("EnableSessionTagChaining", False)
        return self._create(TrainingJob, asked, session_tags if chains else {})

    def _create(
        self, kind: type[Job], asked: Mapping[str, Any], session_tags: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        name = asked[f"{kind.prefix}JobName"]
        arn = f"arn:aws:sagemaker:{self._site.region}:{self._site.account}:{kind.kind}/{name}"
        principal = Principal(asked["RoleArn"], dict(session_tags or {}))
        self._check(kind, asked, principal)
        with self._lock:
            if name in self._jobs[kind]:
                raise AwsError("ResourceInUse", _TAKEN[kind].format(arn=arn))
            job = kind(asked, arn)
            job.principal = principal
            self._jobs[kind][name] = self._by_arn[arn] = job
        warm = isinstance(job, TrainingJob) and self._is_warm(job)
        if self._execute:
            self._pool.submit(JobRun(job, self._site, warm=warm).run)
        return {f"{kind.prefix}JobArn": arn}

    def _check(self, kind: type[Job], asked: Mapping[str, Any], principal: Principal) -> None:
        _check_tags(asked.get("Tags", []))
        if kind is ProcessingJob:
            check_processing_request(asked)
        else:
            check_training_request(asked)
        self._site.roles.check_passable(principal.role_arn, principal.tags)
        if kind is TrainingJob and self._checks_inputs:
            for channel in asked.get("InputDataConfig", []):
                self._check_objects(channel["DataSource"]["S3DataSource"]["S3Uri"], principal)

    def _check_objects(self, uri: str, principal: Principal) -> None:
        bucket, prefix = split_uri(uri)
        try:
            there = bool(self._site.objects(principal).keys(bucket, prefix))
        except AwsError:
            there = False
        if not there:
            told = {"region": self._site.region, "role": principal.role_arn, "bucket": bucket}
            raise validation(NO_OBJECTS.format(uri=uri, **told))

    def _found(self, kind: type[Job], asked: Mapping[str, Any]) -> Job:
        name = asked[f"{kind.prefix}JobName"]
        job = self._jobs[kind].get(name)
        if job is None:
            raise validation(_UNKNOWN[kind].format(name=name))
        return job

    def _list(self, kind: type[Job], asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            jobs = list(self._jobs[kind].values())
        return list_jobs(jobs, asked, status_after_page=kind is TrainingJob)

    def _stop(self, kind: type[Job], asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_StopTrainingJob: "changes the status of the job to Stopping. After SageMaker stops the job, … Stopped"."""
        job = self._found(kind, asked)
        with job.lock:
            if job.is_over:
                raise validation(f"The request was rejected because the {job.noun} job is in status {job.status}.")
            if job.status != "Stopping":
                job.show("Stopping", "Stopping")
                job.commands.put(Command("stop"))
            if not job.taken_up:  # it has no instances to wait for
                job.show("Stopped", "Stopped")
        return {}

    def _delete(self, kind: type[Job], asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_DeleteTrainingJob: of jobs in a terminal state without an Available warm pool; the name is free then."""
        job = self._found(kind, asked)
        with self._lock, job.lock:
            warm = isinstance(job, TrainingJob) and job.pool_is_available
            if not job.is_over or warm:
                held = "retains an Available warm pool" if warm else f"is in status {job.status}"
                raise AwsError("ResourceInUse", f"The {job.noun} job {job.name} {held}")
            self._jobs[kind].pop(job.name, None)
            self._by_arn.pop(job.arn, None)
        return {}

    def _is_warm(self, job: TrainingJob) -> bool:
        """Does it get the instances of a warm pool?"""
        if not job.keep_alive:
            return False
        with self._lock:
            others = list(self._jobs[TrainingJob].values())
        return take_over((other for other in others if isinstance(other, TrainingJob)), job)

    def _update(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """API_UpdateTrainingJob: of a warm pool; profilers and remote debugging are not here."""
        if set(asked) - {"TrainingJobName", "ResourceConfig"}:
            raise Unsupported("UpdateTrainingJob of anything but KeepAlivePeriodInSeconds")
        job = self._found(TrainingJob, asked)
        assert isinstance(job, TrainingJob)
        update_pool(job, asked)
        return {"TrainingJobArn": job.arn}

    # --- jobs of pipelines' steps ------------------------------------------------------------------------------------

    def create_for_step(self, kind: str, request: Mapping[str, Any]) -> Job:
        """
        Create the job of a step; no call is recorded, since SageMaker itself makes it.

        :raises AwsError: the request is refused.
        """
        of = TrainingJob if kind == "Training" else ProcessingJob
        check_request("sagemaker", f"Create{kind}Job", request)
        self._create(of, request)
        return self._found(of, request)

    def stop_for_step(self, job: Job) -> None:
        """Stop the job of a step."""
        self._stop(type(job), {f"{job.prefix}JobName": job.name})

    # --- tags --------------------------------------------------------------------------------------------------------

    def owns(self, arn: str) -> bool:
        """Is an ARN of a job of ours?"""
        return ":training-job/" in arn or ":processing-job/" in arn

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """The tags of a job; none of anything else."""
        job = self._by_arn.get(arn)
        return dict(job.tags) if job else {}

    def _tagged(self, asked: Mapping[str, Any]) -> Job:
        job = self._by_arn.get(asked["ResourceArn"])
        if job is None:
            raise validation(f"Could not find a resource with the ARN {asked['ResourceArn']}")
        return job

    def _add_tags(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        job = self._tagged(asked)
        _check_tags(asked["Tags"])
        with job.lock:
            job.tags |= {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
            return {"Tags": _as_tags(job.tags)}

    def _list_tags(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with (job := self._tagged(asked)).lock:
            tags = _as_tags(job.tags)
        start = int(asked.get("NextToken", 0))
        end = start + asked.get("MaxResults", 50)
        return {"Tags": tags[start:end], **({"NextToken": str(end)} if end < len(tags) else {})}

    def _delete_tags(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with (job := self._tagged(asked)).lock:
            for key in asked["TagKeys"]:
                job.tags.pop(key, None)
        return {}


def _as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _check_tags(tags: list[dict[str, str]]) -> None:
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html: unique keys, ``aws:`` is AWS's."""
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) < len(keys):
        raise validation("Duplicate tag keys found. Please note that tag keys are case insensitive.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise validation("Tag keys that begin with aws: are reserved")
