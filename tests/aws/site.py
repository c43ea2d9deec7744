"""What the jobs of an endpoint have around them."""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .container import Host
from .logs import LogStore
from .objects import RoleObjects
from .policy import Need
from .roles import Credentials, Principal, Roles

_REASONS: Final = {
    # as users report them: https://github.com/DIAGNijmegen/rse-grand-challenge/issues/2631
    "CapacityError": "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.",
    "InternalServerError": "InternalServerError: We encountered an internal error. Please try again.",
}

_PULL: Final = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
_ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[^:@]+)"
)

_addresses = itertools.count(os.getpid() * 997 % 10_000_000)
"""Begins elsewhere in each process, since the loopback interface is shared."""


class Outcomes:
    """Ends that were decided beforehand, by the beginning of a job's name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[tuple[str, str]] = []

    def add(self, prefix: str, word: str, times: int) -> None:
        """
        Let the next instances of such jobs fail.

        :param word: ``CapacityError``, ``InternalServerError``, or a whole FailureReason.
        """
        if word not in _REASONS and ":" not in word:
            raise ValueError(f"no such outcome: {word}; there are {', '.join(_REASONS)} and whole reasons")
        with self._lock:
            self._planned += [(prefix, _REASONS.get(word, word))] * times

    def take(self, name: str) -> str | None:
        """The FailureReason of a job that has just got its instances; None lets it run."""
        with self._lock:
            for place, (prefix, reason) in enumerate(self._planned):
                if name.startswith(prefix):
                    del self._planned[place]
                    return reason
            return None


@dataclass
class Site:
    """
    The region that jobs run in.

    :param folder: the instances' disks are in it.
    :param start_seconds: until a job has its instances.
    :param stop_grace_seconds: between SIGTERM and SIGKILL.
    :param limit_scale: what a second of a StoppingCondition lasts, in seconds.
    :param image_environment: variables that every image sets.
    :param shared: folders of this host that every container sees, in the same place.
    """

    url: str
    region: str
    account: str
    roles: Roles
    logs: LogStore
    folder: Path
    python: str | None
    start_seconds: float
    stop_grace_seconds: float
    limit_scale: float
    image_environment: Mapping[str, str]
    shared: Sequence[Path]
    problems: list[str]
    outcomes: Outcomes = field(default_factory=Outcomes)

    def objects(self, principal: Principal) -> RoleObjects:
        """S3 as somebody reaches it."""
        return RoleObjects(self.account, self.roles, principal)

    def may_log(self, principal: Principal, group: str, stream: str) -> bool:
        """
        Whether a container's lines reach CloudWatch Logs, as whom the job runs; if not, nobody is told.

        "make sure that your SageMaker AI execution role has these policies": logging-cloudwatch.html.
        """
        arn = f"arn:aws:logs:{self.region}:{self.account}:log-group:{group}:log-stream:"
        return self._may(
            principal, Need("logs:CreateLogStream", arn, {}), Need("logs:PutLogEvents", f"{arn}{stream}", {})
        )

    def may_pull(self, principal: Principal, image: str) -> bool:
        """
        Whether a job's role may have its image pulled.

        The actions are those of sagemaker-roles.html, "CreateTrainingJob API: Execution Role Permissions". A registry
        that is none of ECR's is not judged.
        """
        if not (found := _ECR.match(image)):
            return True
        arn = f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
        enter = Need("ecr:GetAuthorizationToken", "*", {})
        return self._may(principal, enter, *(Need(f"ecr:{action}", arn, {}) for action in _PULL))

    def _may(self, principal: Principal, *needs: Need) -> bool:
        lacking = [need for need in needs if not self.roles.allows(principal, need)]
        for need in lacking:
            self.roles.refused(principal, need)
        return not lacking

    def new_hosts(self, count: int) -> list[Host]:
        """Instances of one job, each with an address of its own: 127.1.0.1 to 127.254.255.254."""
        return [Host(f"algo-{number}", _address(next(_addresses))) for number in range(1, count + 1)]

    def base_environment(self, credentials: Credentials | None) -> dict[str, str]:
        """
        What a container has before anything that is asked for.

        SageMaker gives credentials by ``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI``; here they are in the environment, and
        with them the endpoint, which is plain HTTP.
        """
        given = {
            "PATH": "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp/home",
            "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, **self.image_environment,
        }  # fmt: skip
        if credentials is not None:
            given |= {
                "AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
                "AWS_SESSION_TOKEN": credentials.token,
            }  # fmt: skip
        return given


def _address(number: int) -> str:
    low, high = number % 254 + 1, number // 254
    return f"127.{high // 256 % 254 + 1}.{high % 256}.{low}"
