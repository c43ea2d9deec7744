"""The life of one job, from its instances to its end; each runs in a thread of its own."""

from __future__ import annotations

import queue
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from .container import ContainerFailed
from .following import INTERRUPTED, STOPPED, Following
from .images import CANNOT_PULL, is_missing
from .jobs import Command, Job
from .members import Member, Place
from .processing import ProcessingJob
from .processing_member import ProcessingMember, exit_message
from .site import Site
from .training import TrainingJob
from .training_member import TrainingMember, failure_reason, upload_results
from .transfers import TransferFailed

_LIMITED = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")


class Stop(Exception):
    """Somebody or some limit ended a job that had no container yet; the text is the secondary status."""


class JobRun:
    """
    One job while it runs.

    :param warm: its instances come from a warm pool, and so at once.
    """

    def __init__(self, job: Job, site: Site, *, warm: bool) -> None:
        self._job, self._site = job, site
        self._tries = 0
        self._spot_wait = 0.0 if warm else site.start_seconds

    def run(self) -> None:
        """Run it to its end; whatever goes wrong here is a failure that says so."""
        job = self._job
        with job.lock:
            if job.is_over:
                return
            job.taken_up = True
        try:
            while self._attempt():
                pass
        except Stop as stop:  # model-managed-spot-training.html: Starting, then Stopping, then MaxWaitTimeExceeded
            if job.status != "Stopping":
                job.show("Stopping", "Stopping")
            job.show("Stopped", str(stop) or "Stopped")
        except TransferFailed as failed:
            job.show("Failed", "Failed", reason=str(failed))
        except (Exception, ContainerFailed) as broken:
            self._site.problems.append(f"{job.name}: {traceback.format_exc()}")
            job.show("Failed", "Failed", reason=f"InternalServerError: the endpoint of the tests: {broken!r}")

    # --- one attempt -------------------------------------------------------------------------------------------------

    def _attempt(self) -> bool:
        """From waiting for instances to the end of the containers; is there another one?"""
        job = self._job
        self._wait_for_instances()
        if reason := self._site.outcomes.take(job.name):
            return self._planned_failure(reason)
        job.begin()
        self._site.folder.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{job.name[:20]}-", dir=self._site.folder))
        try:
            members = self._members(folder)
            job.show(None, "Downloading")
            for member in members:
                member.prepare()
                self._check_stopped()
            job.show(None, "Training", "Downloading the training image")
            image = members[0].image
            if is_missing(image) or not self._site.may_pull(job.principal, image):
                raise TransferFailed(CANNOT_PULL)
            job.show(None, "Training")
            return self._conclude(self._follow(members), members)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _wait_for_instances(self) -> None:
        """
        Wait, with an eye on what may end the waiting.

        API_StoppingCondition: MaxPendingTimeInSeconds "takes effect only for jobs that request accelerated computing
        instance types"; MaxWaitTimeInSeconds counts waiting and running.
        """
        job, until = self._job, time.monotonic() + self._spot_wait
        if self._spot_wait:
            job.show(None, "Pending")
        limits = self._wait_limits()
        while True:
            now = time.monotonic()
            for word, at in limits.items():
                if now >= at and until > at:
                    raise Stop(word)
            if now >= until:
                break
            self._next_command(min((until, *limits.values())) - now)
        self._check_stopped()
        if self._tries or self._spot_wait:
            job.show(None, "Starting", "Preparing the instances for training")
        self._tries += 1

    def _wait_limits(self) -> dict[str, float]:
        if not isinstance(self._job, TrainingJob):
            return {}
        asked, scale = self._job.stopping_condition, self._site.limit_scale
        age = time.time() - self._job.created.timestamp()
        limits: dict[str, float] = {}
        if self._job.is_spot:
            limits["MaxWaitTimeExceeded"] = time.monotonic() - age + asked["MaxWaitTimeInSeconds"] * scale
        instance = self._job.request["ResourceConfig"]["InstanceType"]
        if "MaxPendingTimeInSeconds" in asked and instance.startswith(("ml.p", "ml.g", "ml.trn")):
            limits["Stopped"] = time.monotonic() - age + asked["MaxPendingTimeInSeconds"] * scale
        return limits

    def _planned_failure(self, reason: str) -> bool:
        """API_RetryStrategy: only an InternalServerError is tried again, and the secondary status is Starting then."""
        job = self._job
        retries = job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        if reason.startswith("InternalServerError") and self._tries <= retries:
            job.show(None, "Restarting")
            job.show(None, "Starting")
            return True
        job.show("Failed", "Failed", reason=reason)
        return False

    def _next_command(self, seconds: float) -> None:
        try:
            command = self._job.commands.get(timeout=max(0.0, min(seconds, 60.0)))
        except queue.Empty:
            return
        if command.name in ("stop", "kill"):
            raise Stop

    def _check_stopped(self) -> None:
        while True:
            try:
                command = self._job.commands.get_nowait()
            except queue.Empty:
                return
            if command.name in ("stop", "kill"):
                raise Stop

    def _members(self, folder: Path) -> list[Any]:
        job, site = self._job, self._site
        training = isinstance(job, TrainingJob)
        resources = job.request["ResourceConfig"] if training else job.request["ProcessingResources"]["ClusterConfig"]
        hosts = site.new_hosts(resources.get("InstanceCount", 1))
        credentials = site.roles.session(job.principal, job.name)
        kind: type[Member] = TrainingMember if training else ProcessingMember
        members = []
        for index, host in enumerate(hosts):
            (folder / host.name / "opt" / "ml").mkdir(parents=True)
            place = Place(site, hosts, index, folder / host.name, credentials)
            members.append(kind(job, place, lambda member: job.commands.put(Command("exited", member))))
        return members

    def _follow(self, members: list[Any]) -> Following:
        job, began = self._job, time.monotonic()
        limits = self._run_limits(began)
        for member in members:
            member.start()
        following = Following(job, members, self._site.stop_grace_seconds, limits, self._on_end)
        following.run()
        if isinstance(job, TrainingJob):
            job.seconds_run += time.monotonic() - began
        return following

    def _run_limits(self, began: float) -> dict[str, float]:
        """MaxRuntimeInSeconds is for all attempts in total: API_StoppingCondition."""
        job, scale = self._job, self._site.limit_scale
        if not isinstance(job, TrainingJob):
            assert isinstance(job, ProcessingJob)
            return {"MaxRuntimeExceeded": began + job.max_runtime_seconds * scale}
        limits = {"MaxRuntimeExceeded": began + job.stopping_condition["MaxRuntimeInSeconds"] * scale - job.seconds_run}
        wait = self._wait_limits().get("MaxWaitTimeExceeded")
        return limits | ({"MaxWaitTimeExceeded": wait} if wait is not None else {})

    def _on_end(self, why: str) -> None:
        if why in (STOPPED, *_LIMITED):
            self._job.show("Stopping", "Stopping")

    # --- its end -----------------------------------------------------------------------------------------------------

    def _conclude(self, following: Following, members: list[Any]) -> bool:
        job, why = self._job, following.ended_by
        for member in members:
            member.sync_at_last()
        if why == INTERRUPTED:
            job.show(None, "Interrupted")
            if following.wait_seconds is not None:
                self._spot_wait = following.wait_seconds
            return True
        if isinstance(job, ProcessingJob):
            self._conclude_processing(job, following, members)
            return False
        assert isinstance(job, TrainingJob)
        job.show(None, "Uploading")
        if following.failed is not None:
            failed: Any = following.failed
            job.show("Failed", "Failed", reason=failure_reason(failed, failed.container.exit_code))
            return False
        job.has_model = upload_results(members)
        # a stop that came while the results were uploaded has been shown as Stopping: it is one, with all its results
        stopped = why or job.status == "Stopping"
        job.show("Stopped" if stopped else "Completed", (why or "Stopped") if stopped else "Completed")
        return False

    def _conclude_processing(self, job: ProcessingJob, following: Following, members: list[Any]) -> None:
        message = exit_message(members)
        with job.lock:
            job.exit_message = message
        if following.failed is not None:
            job.show("Failed", reason="AlgorithmError: See job logs for more information")
            return
        if not following.ended_by:
            for member in members:
                member.upload_outputs()
        stopped = following.ended_by or job.status == "Stopping"
        job.show("Stopped" if stopped else "Completed")
