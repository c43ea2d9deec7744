"""
One instance of a job: what is laid into its ``/opt/ml`` before it runs, and what is taken from it afterwards.

This module has what training and processing share; :mod:`tests.aws.training_member` and
:mod:`tests.aws.processing_member` have what they do not.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .container import Container, Host
from .errors import AwsError
from .images import install, interpreter
from .jobs import Job
from .objects import RoleObjects
from .roles import Credentials
from .site import Site
from .transfers import Mirror, TransferFailed


@dataclass(frozen=True)
class Place:
    """
    Where an instance is.

    :param index: among :attr:`hosts`, from 0.
    :param folder: its disk.
    """

    site: Site
    hosts: Sequence[Host]
    index: int
    folder: Path
    credentials: Credentials

    @property
    def host(self) -> Host:
        """The instance itself."""
        return self.hosts[self.index]

    @property
    def ml(self) -> Path:
        """Its ``/opt/ml``, from outside."""
        return self.folder / "opt" / "ml"


class Member:
    """
    One instance of a job.

    :param when_exited: called when its container has ended.
    """

    def __init__(self, job: Job, place: Place, when_exited: Callable[[Member], None]) -> None:
        self.job, self.place = job, place
        self._when_exited = when_exited
        self.mirrors: list[Mirror] = []
        """Folders that are uploaded while the container runs."""
        self.container: Container | None = None
        self._stream, self._may_log = "", False

    # --- what differs ------------------------------------------------------------------------------------------------

    @property
    def image(self) -> str:
        """The reference of its image."""
        raise NotImplementedError

    def prepare(self) -> None:
        """
        Lay out its ``/opt/ml``.

        :raises TransferFailed: an input could not be brought.
        """
        raise NotImplementedError

    def command(self) -> list[str]:
        """
        The entrypoint with its arguments.

        :raises TransferFailed: there is none.
        """
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The variables that the platform and the request add."""
        raise NotImplementedError

    def read_line(self, line: str) -> None:
        """Look at a line of the log."""

    stop_signal: signal.Signals = signal.SIGTERM
    """What its main process gets when it shall end."""

    @property
    def read_only(self) -> list[str]:
        """Folders that its container cannot write to."""
        return []

    # --- what is the same --------------------------------------------------------------------------------------------

    @property
    def isolated(self) -> bool:
        """Without network, and so without credentials."""
        return bool(self.job.request.get("EnableNetworkIsolation"))

    @property
    def objects(self) -> RoleObjects:
        """S3 under the job's role."""
        return self.place.site.objects(self.job.principal)

    def start(self) -> None:
        """Start its container."""
        place, site = self.place, self.place.site
        self._stream = f"{self.job.name}/{place.host.name}-{int(time.time())}"
        self._may_log = site.may_log(self.job.principal, self.job.log_group, self._stream)
        python = interpreter(self.image, site.python)
        install(python, place.folder / "opt" / "bin")
        if not python.startswith("/tmp/"):  # an interpreter below /tmp would be hidden by a private one
            (place.folder / "tmp" / "home").mkdir(parents=True)
        base = site.base_environment(None if self.isolated else place.credentials)
        self.container = Container(
            place.folder, place.host, hosts=place.hosts, command=self.command(),
            environment={**base, "HOSTNAME": place.host.name, **self.environment()},
            shared=[folder for folder in site.shared if str(folder).startswith("/tmp/")], read_only=self.read_only, isolated=self.isolated,
        )  # fmt: skip
        self.container.start(self._log, lambda _: self._when_exited(self))

    def sync(self) -> None:
        """Upload what the container wrote into folders that are followed; what fails is tried again, and told at last."""
        for mirror in self.mirrors:
            try:
                mirror.push()
            except AwsError:
                continue

    def sync_at_last(self) -> None:
        """
        Upload what is left of them.

        :raises TransferFailed: it may not be put there.
        """
        for mirror in self.mirrors:
            push(mirror)

    def path(self, inside: str) -> Path:
        """A path of the container below ``/opt/ml``, from outside."""
        return self.place.ml / Path(inside).relative_to("/opt/ml")

    def write_json(self, inside: str, value: Any) -> None:
        """A file of the platform's below ``/opt/ml``."""
        file = self.path(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))

    def _log(self, lines: list[tuple[int, str]]) -> None:
        if self._may_log:
            self.place.site.logs.emit(self.job.log_group, self._stream, lines)
        for _, line in lines:
            self.read_line(line)


def push(mirror: Mirror) -> None:
    """
    Upload a folder.

    :raises TransferFailed: with the reason as SageMaker gives it.
    """
    try:
        mirror.push()
    except AwsError as refused:
        raise upload_failed(refused) from None


def upload_failed(refused: AwsError) -> TransferFailed:
    """The failure of an upload. (The words are as users report them.)"""
    return TransferFailed(f"ClientError: Artifact upload failed:{refused.code} ({refused.status}): {refused.message}")
