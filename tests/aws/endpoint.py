"""
An AWS endpoint whose SageMaker jobs really run, as processes of this host.

SageMaker's jobs, CloudWatch Logs and STS's AssumeRole are this package's own; S3, IAM and everything else are moto's, in
this process.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NotRequired, TypedDict

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server

from .api_needs import needs_of
from .calls import CallLog
from .control import Control
from .faults import Faults
from .images import bare_environment
from .jobs import Command, Job
from .logs import LogStore
from .logs_api import LogsApi
from .roles import Principal, Roles
from .sagemaker_api import SageMakerApi
from .secret_arns import secret_arn
from .server import Front
from .site import Site

STOP_GRACE_SECONDS: Final = 120.0
"""API_StopTrainingJob: SIGTERM "delays job termination for 120 seconds"."""


class RolePolicies(TypedDict):
    """Documents of one role."""

    policy: Mapping[str, Any]
    trust: NotRequired[Mapping[str, Any]]


class Endpoint:
    """
    One endpoint, for one account and region; a context manager.

    :param bucket: is created, unless moto has it already; what the endpoint created it takes away again.
    :param execute: False leaves jobs InProgress until :meth:`finish`.
    :param workers: how many jobs have instances at a time; others wait as for capacity.
    :param start_seconds: until a job has its instances.
    :param python: the interpreter of images without a tag of their own; by default one that has pip and nothing else.
    :param stop_grace_seconds: between SIGTERM and SIGKILL. (A main process without a handler ignores SIGTERM, here as in
        a container.)
    :param limit_scale: seconds that a second of a StoppingCondition lasts, for limits that are too long to wait for.
    :param log_delay_seconds: until a line can be read from CloudWatch Logs.
    :param checks_inputs: CreateTrainingJob refuses channels without objects, as AWS does; False lets the job fail.
    :param image_environment: variables that every image sets, for instance of a package index.
    :param shared: folders of this host that every container sees. (Of ``/tmp`` it sees nothing else.)
    """

    region: str = "eu-central-1"
    account: str = "123456789012"

    def __init__(
        self, *, bucket: str = "artifacts", execute: bool = True, workers: int = 8, start_seconds: float = 0.0,
        python: str | None = None, port: int = 0, stop_grace_seconds: float = STOP_GRACE_SECONDS,
        limit_scale: float = 1.0, log_delay_seconds: float = 0.0, checks_inputs: bool = True,
        image_environment: Mapping[str, str] | None = None, shared: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.url = ""
        self.bucket = bucket
        self.role_arn = f"arn:aws:iam::{self.account}:role/mlx-job"
        self.calls, self.faults = CallLog(), Faults()
        self.problems: list[str] = []
        """What the endpoint got wrong or could not do: a test that used it should find this empty."""
        self.roles = Roles(self.account, self.role_arn)
        self.logs = LogStore(log_delay_seconds)
        self._port, self._execute = port, execute
        self._folder = Path(tempfile.mkdtemp(prefix="mlx-aws-"))
        self.site = Site(
            url="", region=self.region, account=self.account, roles=self.roles, logs=self.logs, folder=self._folder,
            python=python, start_seconds=start_seconds, stop_grace_seconds=stop_grace_seconds, limit_scale=limit_scale,
            image_environment=dict(image_environment or {}), shared=tuple(shared), problems=self.problems,
        )  # fmt: skip
        self._sagemaker = SageMakerApi(self.site, execute=execute, workers=workers, checks_inputs=checks_inputs)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._buckets_before: set[str] = set()

    # --- from its start to its end -----------------------------------------------------------------------------------

    def start(self) -> Endpoint:
        """
        Listen.

        :raises PermissionError: jobs are to run and this is not root, who alone can make their namespaces.
        """
        if self._execute and os.geteuid() != 0:
            raise PermissionError("SageMaker's jobs need namespaces of their own: run the tests as root")
        if self._execute and self.site.python is None:
            bare_environment()  # made once per machine, and not in the time of the first job
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        front = Front(
            sagemaker=self._sagemaker, logs=LogsApi(self.logs, self.region, self.account),
            moto=DomainDispatcherApplication(create_backend_app), roles=self.roles, calls=self.calls,
            faults=self.faults, problems=self.problems, control=Control(self),
            needs_of=partial(
                needs_of, region=self.region, account=self.account, tags_of=self._sagemaker.tags_of,
                secret_arn_of=partial(secret_arn, self.account, self.region),
            ),
        )  # fmt: skip
        self._server = make_server("127.0.0.1", self._port, front, threaded=True, request_handler=MotoRequestHandler)
        self.url = self.site.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="aws", daemon=True)
        self._thread.start()
        self._buckets_before = set(self._moto_s3.buckets)
        if self.bucket not in self._buckets_before:
            self._moto_s3.create_bucket(self.bucket, self.region)
        return self

    def stop(self) -> None:
        """Kill what still runs, stop listening, and leave moto as it was found."""
        self.faults.clear()
        self._sagemaker.close(seconds=10.0)
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._drop_buckets()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Endpoint:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- clients -----------------------------------------------------------------------------------------------------

    def client(
        self, service: str, *, role_arn: str | None = None, keys: tuple[str, str] | None = None, **config: Any
    ) -> Any:
        """
        A boto3 client, which tries once.

        :param role_arn: who calls, with that role's policy; None is an administrator.
        :param keys: of a session that there is, instead.
        """
        keys = keys or self._keys(role_arn)
        return boto3.client(
            service, endpoint_url=self.url, region_name=self.region, aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1], config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
        )  # fmt: skip

    def connection(self, *, role_arn: str | None = None, **extra: Any) -> dict[str, Any]:
        """
        An Airflow connection.

        :param role_arn: who calls, with that role's policy; None is an administrator.
        """
        login, password = self._keys(role_arn)
        return {
            "conn_type": "aws", "login": login, "password": password,
            "extra": {"region_name": self.region, "endpoint_url": self.url, **extra},
        }  # fmt: skip

    def _keys(self, role_arn: str | None) -> tuple[str, str]:
        if role_arn is None:
            return "AKIAADMINISTRATOR00", "administrator"
        made = self.roles.session(
            Principal(role_arn, session="tests"), "administrator"
        )  # faults and the record of calls take it for one
        return made.access_key, made.secret_key

    # --- what tests decide -------------------------------------------------------------------------------------------

    def put_role_policy(self, role_arn: str, policy: dict[str, Any]) -> None:
        """Say all that jobs under a role may do; the role may be passed from then on."""
        self.roles.put_policy(role_arn, policy)

    def put_roles(self, roles: Mapping[str, RolePolicies]) -> None:
        """
        Say of several roles at once what they may do and who may assume them.

        :param roles: by ARN; a trust policy that is left out is none.
        """
        for arn, given in roles.items():
            self.roles.put_policy(arn, given["policy"])
            if "trust" in given:
                self.roles.put_trust(arn, given["trust"])

    def next_outcome(self, job_name_prefix: str, word: str, times: int = 1) -> None:
        """Let the next jobs fail when they have their instances: ``CapacityError``, ``InternalServerError``, or a whole reason."""
        self.site.outcomes.add(job_name_prefix, word, times)

    def interrupt(self, job_name: str, wait_seconds: float | None = None) -> None:
        """
        Take the spot instances of a job away whose containers run (:meth:`wait` for ``Training``); others ignore it.

        :param wait_seconds: until there are others; None is :attr:`start_seconds`.
        :raises ValueError: it is not on spot instances.
        """
        job = self.job(job_name)
        if not getattr(job, "is_spot", False):
            raise ValueError(f"{job_name} is not on spot instances")
        job.commands.put(Command("interrupt", wait_seconds))

    def finish(self, job_name: str, status: str = "Completed", reason: str = "") -> None:
        """End a job that is not run."""
        self._sagemaker.finish(job_name, status, reason)

    def job(self, job_name: str) -> Job:
        """
        A job, as the endpoint has it.

        :raises KeyError: there is none.
        """
        return self._sagemaker.job(job_name)

    def wait(self, job_name: str, status: str | None = None, seconds: float = 30.0) -> dict[str, Any]:
        """
        Wait without a call until a job is over, or has had a status or secondary status; returns what Describe tells.

        :raises TimeoutError: it has not in time.
        """
        job = self.job(job_name)
        with job.lock:
            reached = job.changed.wait_for(
                lambda: job.is_over if status is None else status == job.status or job.has_been(status), seconds
            )
            if not reached:
                raise TimeoutError(f"{job_name} is {job.describe()}")
            return job.describe()

    # --- moto --------------------------------------------------------------------------------------------------------

    @property
    def _moto_s3(self) -> Any:
        return s3_backends[self.account]["aws"]

    def _drop_buckets(self) -> None:
        """moto's state is the process's: buckets that came while the endpoint listened go with it."""
        for name in set(self._moto_s3.buckets) - self._buckets_before:
            bucket = self._moto_s3.buckets.pop(name)
            s3_backends.bucket_accounts.pop(name, None)
            bucket.keys.clear()
