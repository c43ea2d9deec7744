"""
The supervisor: the job's first process, which outlives whatever happens to the user's code.

It brings a client for the store if it may, verifies the context, unpacks the source, prepares the environment, and has
the user's code run: in one child process (``rank_supervisor.py``), or in several by torch's launcher
(``torchrun.py``). It passes signals on, and says in the error's file what became of a child that could not say so.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Sequence, cast  # noqa: UP035  (Python 3.9)

from .guard import Forked, Guard
from .lines import LineWriter
from .member import Member, is_gang
from .protocol import CONTEXT_FILE, ERROR_FILE, EXIT_TAMPERED, NO_LAUNCHER, PROTOCOL, TORCHRUN, StepContext
from .rank_supervisor import RankSupervisor
from .records import Outcome, Recorder, now
from .refusals import BundleRefused, JobMisconfigured, Refusal
from .store import Store
from .streams import unbuffered
from .uris import join

if TYPE_CHECKING:
    from .protocol import Timings
    from .ranks import Place

TERMINATION_LOG = "/dev/termination-log"
"""Kubernetes' default for ``terminationMessagePath``: a file that it makes before the container starts."""
FAILURE_FILE = "MLX_FAILURE_FILE"
"""Variable: where SageMaker looks for the reason of a failure."""


def main() -> None:
    """Run the job that ``sys.argv`` (bundle, its digest, context, its digest) describes. Never returns."""
    sys.path[:] = [entry for entry in sys.path if entry]
    sys.stdout, sys.stderr = unbuffered(1), unbuffered(2)  # a stop may come, and say so, while a line is printed
    from .extraction import fresh_folder

    bundle, bundle_sha256, location, expected = sys.argv[1:5]
    started_at = now()
    work = fresh_folder()
    guard = Guard(work, say=lambda text: print(f"mlx: {text}", flush=True))
    guard.listen()
    supervisor: Supervisor | None = None
    try:
        try:
            installing = bring_client(location, work, guard)
            context = read_context(location, expected)
        except Refusal as refusal:
            print(f"mlx: {refusal.what}", flush=True)
            leave_word(f"{refusal.reason}: {refusal.what}")
            sys.exit(refusal.exit_status)
        if context.get("openlineage"):  # here, since a backend's own variables are short
            os.environ.setdefault("OPENLINEAGE_CONTEXT", context["openlineage"])
        for name, value in context.get("tracking", {}).items():
            os.environ.setdefault(name, value)
        supervisor = Supervisor(context, Path(bundle).absolute(), bundle_sha256, work, guard)
        supervisor.timings["started_at"] = started_at
        supervisor.count_installing(installing)
        sys.exit(supervisor.run())
    except Forked:
        pass  # this is the child now: it leaves the supervisor's frames first, so that none of their endings is its own
    finally:
        if not guard.forked:
            import shutil

            guard.end()
            shutil.rmtree(work, ignore_errors=True)
    from .child import run_child

    run_child(str(Path(bundle).absolute()), work, supervisor.timings if supervisor else {})


def leave_word(text: str, secrets: Sequence[str] = (), *, failed: bool = True, error: Path | None = None) -> None:
    """
    Write the job's last word for its backend, where there is a file for it (``last_word.py``).

    :param failed: SageMaker's file is for failures, and makes one of a job that has it.
    :param error: the ``error.json`` that nobody else may bring to Airflow.
    """
    path = Path(os.environ.get("MLX_TERMINATION_LOG") or TERMINATION_LOG)
    if path.is_file():
        from .last_word import write_word

        write_word(path, text, secrets)
    if failed and FAILURE_FILE in os.environ:
        from .last_word import write_word

        write_word(Path(os.environ[FAILURE_FILE]), text, secrets, error=error)


def bring_client(uri: str, work: Path, guard: Guard) -> float:
    """
    Install a client for a URI's store, if the image has none and the stack allows it; the seconds that it took.

    :raises Refusal: it cannot be installed, or the job was told to stop meanwhile.
    """
    if "MLX_INSTALL_CLIENT" not in os.environ:
        return 0.0
    from .installed_client import install_client, needs_client

    if not needs_client(uri):
        return 0.0
    start = time.monotonic()
    install_client(uri, work, guard.run)
    return time.monotonic() - start


class ContextRefused(JobMisconfigured):
    """The context is not the one that was recorded with the request."""

    exit_status = EXIT_TAMPERED

    @property
    def reason(self) -> str:
        """To Airflow's side this is a job that was set up wrongly."""
        return "JobMisconfigured"


def read_context(location: str, expected_sha256: str) -> StepContext:
    """
    Read and verify ``context.json``.

    :param location: a path, or a URI of any scheme that a client in the image can read.
    :raises Refusal: it cannot be read, is not the one that was promised, or is of another protocol.
    """
    import hashlib

    try:
        data = Store().read_bytes(location) if "://" in location else Path(location).read_bytes()
    except Refusal:
        raise
    except Exception as error:  # a store's client raises what it likes
        raise JobMisconfigured(f"the context {location} cannot be read: {type(error).__name__}: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise ContextRefused(f"context {location} is {found} not {expected_sha256}")
    try:
        context = json.loads(data)
    except ValueError as error:
        raise JobMisconfigured(f"the context {location} is not JSON: {error}") from error
    version = context.get("protocol") if isinstance(context, dict) else None
    if version != PROTOCOL:
        raise JobMisconfigured(f"context {location} speaks protocol {version!r}, this runtime speaks {PROTOCOL}")
    missing = [key for key in ("nonce", "step", "payload", "outputs") if key not in context]
    if missing:
        raise JobMisconfigured(f"context {location} lacks {', '.join(missing)}")
    return cast("StepContext", context)


class Supervisor:
    """Prepares a node, has the user's code run on it, and answers for it."""

    def __init__(self, context: StepContext, bundle: Path, bundle_sha256: str, work: Path, guard: Guard) -> None:
        self._context = context
        self._bundle = bundle
        self._bundle_sha256 = bundle_sha256
        self._work = work
        self._store = Store(context.get("store", {}), scratch=work)
        self._guard = guard
        self._member = Member()
        self._launcher = context.get("launcher", NO_LAUNCHER)
        self._recorder = Recorder(context, self._store, work, self._member)
        guard.keep(context)

    @property
    def timings(self) -> Timings:
        """What the parts took so far."""
        return self._recorder.timings

    def count_installing(self, seconds: float) -> None:
        """Add to the time that installing has taken."""
        if seconds:
            self.timings["install"] = round(self.timings.get("install", 0.0) + seconds, 6)

    def run(self) -> int:
        """
        The whole job; the exit status, from ``protocol.py``.

        :raises Forked: in the child.
        """
        try:
            place = self._take_place()
            self._speak()
            if any(name.startswith("MLX_SECRET_") for name in os.environ):
                from .kept_secrets import fetch_secrets

                fetch_secrets(os.environ)
            outputs = self._context["outputs"]["uri"]
            if self._store.local_path(outputs) is None:
                self.count_installing(bring_client(outputs, self._work, self._guard))
            self._unpack()
            return self._run_step(place, self._prepare())
        except Refusal as refusal:
            self._recorder.write_refusal(refusal)
            return refusal.exit_status
        finally:
            if not self._guard.forked:
                self._leave_word()

    def _take_place(self) -> Place | None:
        """Where this node stands among others, and what its processes are told of it; None if there are no others."""
        if not is_gang(self._context):
            return None
        from .ranks import environment_of, find_place

        place = find_place(self._context.get("nodes", 1), os.environ)
        rank: int | None = None  # torchrun tells it to each process
        if self._launcher == NO_LAUNCHER:
            rank = place.node_rank
            os.environ.update(environment_of(place))
        self._member = self._recorder.member = Member(True, place.node_rank, rank)
        return place

    def _speak(self) -> None:
        """Live lines are node 0's: each speaker counts its own, and there is one supervisor."""
        if self._member.node == 0:
            lines = LineWriter(self._context["nonce"], sys.stdout, by="supervisor")
            self._guard.say = lambda text: lines.write("log", message=text)
            self._guard.beat = lambda: lines.write("heartbeat")

    def _run_step(self, place: Place | None, python: str) -> int:
        if self._launcher == TORCHRUN and place is not None:
            from .torchrun import run_ranks

            return run_ranks(self._context, place, python, self._bundle, self._work, self._guard, self._recorder)
        if self._launcher != NO_LAUNCHER:
            raise JobMisconfigured(
                f"this runtime knows no launcher {self._launcher!r}", f"there are {NO_LAUNCHER} and {TORCHRUN}"
            )
        rank = RankSupervisor(self._context, self._bundle, self._work, self._store, self._recorder, self._guard)
        return rank.run(python)

    def _leave_word(self) -> None:
        outcome = Outcome.read(self._work)
        if outcome is None:
            return
        error = self._store.local_path(join(self._context["outputs"]["uri"], ERROR_FILE))
        secrets = self._context.get("secret_variables", ())
        leave_word(outcome.word, secrets, failed=bool(outcome.reason), error=error)

    def _unpack(self) -> None:
        import io
        import zipfile

        from .extraction import extract_source

        try:
            extract_source(io.BytesIO(self._verified_bundle()), self._work)
        except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
            raise BundleRefused(f"the bundle cannot be unpacked: {error}") from error
        (self._work / CONTEXT_FILE).write_text(json.dumps(self._context))

    def _verified_bundle(self) -> bytes:
        """
        The bundle, hashed once more: on a mounted root somebody may have replaced it since the bootstrap looked.

        What is extracted is what was hashed; a bundle has at most 50 MB.
        """
        import hashlib

        data = self._bundle.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self._bundle_sha256:
            raise BundleRefused(
                f"bundle {self._bundle} is {found} not {self._bundle_sha256}: it was replaced meanwhile"
            )
        return data

    def _prepare(self) -> str:
        """The interpreter for the user's code, after its requirements are installed."""
        wanted = self._context.get("environment", {})
        if not wanted.get("requirements"):
            return sys.executable
        from .environment import prepare_environment

        start = time.monotonic()
        try:
            allowed = self._context.get("store", {}).get("allowed", ())
            return prepare_environment(wanted, self._work, self._guard.run, store=self._store, allowed=allowed)
        finally:
            self.count_installing(time.monotonic() - start)
