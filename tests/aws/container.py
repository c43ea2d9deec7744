"""
A container without an image: a process in namespaces of its own.

What is true of it as of a container of SageMaker: it sees a private ``/opt/ml`` and ``/tmp``, its own ``/etc/hosts`` and host
name; its main process is process 1, so SIGTERM reaches it alone and does nothing unless it has a handler (pid_namespaces(7)),
and with it everything ends. What is not: the file system is this host's, and so are CPUs, memory and user.

SageMaker sends SIGTERM to the main process, and SIGKILL 120 seconds later:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from .logs import EVENT_BYTES

_SETUP: Final = Path(__file__).with_name("container.sh")

Lines = Callable[[list[tuple[int, str]]], None]
"""What takes the lines of a container as they come: (milliseconds since 1970, text)."""


class ContainerFailed(Exception):
    """The namespaces could not be made; no fault of the job."""


@dataclass(frozen=True)
class Host:
    """
    One instance of a job.

    :param name: ``algo-1``, …
    :param address: on the loopback interface, its own among all jobs of all endpoints.
    """

    name: str
    address: str


class Container:
    """
    One container, from its start to its end.

    :param folder: ``opt/`` (with ``opt/ml`` and ``opt/bin``) and ``tmp/`` are the job's; ``hosts`` is made here.
    :param shared: folders of this host under ``/tmp`` that are to be seen inside.
    :param read_only: folders below ``/opt/ml``, as the job sees them, that cannot be written to.
    :param isolated: without any network (``EnableNetworkIsolation``), other containers of the job included.
    """

    def __init__(
        self, folder: Path, host: Host, *, hosts: Sequence[Host], command: Sequence[str],
        environment: Mapping[str, str], shared: Sequence[Path] = (), read_only: Sequence[str] = (),
        isolated: bool = False,
    ) -> None:  # fmt: skip
        self.host, self._folder, self._isolated = host, folder, isolated
        self._command, self._environment = list(command), dict(environment)
        self._shared, self._read_only = list(shared), list(read_only)
        names = "".join(f"{other.address} {other.name}\n" for other in hosts)
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        self._process: subprocess.Popen[bytes] | None = None
        self._main: int | None = None
        self.exit_code: int | None = None
        """128 and the signal's number, if one ended it."""

    def start(self, on_lines: Lines, on_exit: Callable[[Container], None]) -> None:
        """
        Start the entrypoint and return when it has begun.

        :param on_lines: called in a thread of the container's.
        :param on_exit: called once, in that thread, after the last line.
        :raises ContainerFailed: with what was printed.
        """
        ours, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                self._arguments(), env=self._environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(theirs)
        with os.fdopen(ours, "rb") as said:
            begun = said.readline() == b"ok\n"
        if not begun:
            _, why = self._process.communicate()
            raise ContainerFailed(why.decode(errors="replace"))
        with contextlib.suppress(psutil.Error, IndexError):  # it may be over already
            self._main = psutil.Process(self._process.pid).children()[0].pid
        threading.Thread(
            target=self._read, args=(on_lines, on_exit), name=f"lines-{self.host.name}", daemon=True
        ).start()

    def send(self, number: signal.Signals) -> None:
        """Send the main process a signal; it gets none but those it handles, and SIGKILL."""
        if self._main is not None and self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._main, number)

    def kill(self) -> None:
        """End the main process, and with it everything in the container."""
        self.send(signal.SIGKILL)

    def _arguments(self) -> list[str]:
        unshare = ["unshare", "--mount", "--pid", "--uts", "--mount-proc", "--kill-child=SIGKILL"]
        if shutil.which("setpriv"):  # nothing outlives this process, however it ends
            unshare = ["setpriv", "--pdeathsig", "KILL", *unshare]
        if self._isolated:
            unshare.append("--net")
        isolated = "yes" if self._isolated else "no"
        inside = ["sh", str(_SETUP), str(self._folder), self.host.name, isolated]
        return [*unshare, *inside, *map(str, self._shared), "--", *self._read_only, "--", *self._command]

    def _read(self, on_lines: Lines, on_exit: Callable[[Container], None]) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        splitter = LineSplitter()
        fd = self._process.stdout.fileno()
        while chunk := os.read(fd, 65536):
            if lines := splitter.feed(chunk):
                on_lines(_stamped(lines))
        if lines := splitter.rest():
            on_lines(_stamped(lines))
        self._process.stdout.close()
        assert self._process.stderr is not None
        self._process.stderr.read()  # unshare(1) may have a word of its own about how its child ended
        self._process.stderr.close()
        code = self._process.wait()
        self.exit_code = 128 - code if code < 0 else code
        on_exit(self)


class LineSplitter:
    """Bytes to events: one a line, in pieces if it is longer than an event may be; what is not UTF-8 is replaced."""

    def __init__(self) -> None:
        self._open = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes, give the lines that are complete. (Empty ones make no event: its message has a minimal length of 1.)"""
        *lines, self._open = (self._open + chunk).split(b"\n")
        out = [piece for line in lines for piece in pieces(line)]
        while len(self._open) > EVENT_BYTES:
            cut = boundary(self._open)
            out += pieces(self._open[:cut])
            self._open = self._open[cut:]
        return out

    def rest(self) -> list[str]:
        """The last line, if nothing ended it."""
        line, self._open = self._open, b""
        return pieces(line)


def pieces(line: bytes) -> list[str]:
    """A line as events: no character is cut in two."""
    left, out = line.decode(errors="replace").encode(), []
    while left:
        cut = boundary(left)
        out.append(left[:cut].decode())
        left = left[cut:]
    return out


def boundary(text: bytes) -> int:
    """Where the first event of a text ends: UTF-8's continuation bytes follow what they continue."""
    cut = min(EVENT_BYTES, len(text))
    while cut < len(text) and cut > EVENT_BYTES - 4 and text[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut


def _stamped(lines: list[str]) -> list[tuple[int, str]]:
    now = int(time.time() * 1000)
    return [(now, line) for line in lines]
