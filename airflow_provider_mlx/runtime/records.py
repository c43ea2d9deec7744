"""The files that decide: ``result.json``, ``error.json`` and what stands under ``errors/``, each written once."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .memory import peak_memory_bytes
from .protocol import ERROR_FILE, ERRORS_FOLDER, OWN, PROTOCOL, RESULT_FILE, StepContext, StepError, StepResult, Timings
from .refusals import AlreadyWritten, Refusal
from .trackers import tracked_runs
from .uris import join
from .versions import installed

if TYPE_CHECKING:
    from .member import Member
    from .store import Store

MAX_MESSAGE_BYTES = 8 * 1024
MAX_TRACEBACK_BYTES = 64 * 1024
OUTCOME_FILE = "outcome"
"""In the work folder: the child tells its supervisor that it has written a file."""
STOPPED_FILE = "stopped"
"""In the work folder: the step was told to stop, also where it has a handler of its own for the signal."""


def now() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def bounded(text: str, limit: int) -> str:
    """Cut a text to so many bytes of UTF-8, out of its middle; what UTF-8 cannot say is replaced."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    note = f"\n… {len(data) - limit} bytes left out …\n"
    half = (limit - len(note.encode())) // 2
    return data[:half].decode("utf-8", "ignore") + note + data[-half:].decode("utf-8", "ignore")


class Outcome(NamedTuple):
    """
    What a process leaves for its supervisor when it has written a file.

    :param reason: of an error, as in ``error.json``; empty for a result.
    :param word: the same for people, in one line.
    :param name: under which an error stands among others.
    """

    reason: str
    word: str
    name: str = ""

    def write(self, work: Path) -> None:
        """Leave it in a work folder."""
        (work / OUTCOME_FILE).write_text(json.dumps(self._asdict()))

    @classmethod
    def read(cls, work: Path) -> Outcome | None:
        """What was left, or None."""
        try:
            return cls(**json.loads((work / OUTCOME_FILE).read_bytes()))
        except FileNotFoundError:
            return None


class Recorder:
    """
    Writes the attempt's files.

    :param context: the attempt's context.
    :param work: the work folder, where the child leaves word for its supervisor.
    :param member: which of the job's processes this is.
    """

    def __init__(self, context: StepContext, store: Store, work: Path, member: Member) -> None:
        self._context = context
        self._store = store
        self._work = work
        self.member = member
        self._packages: dict[str, Any] | None = None
        self.timings: Timings = {}
        self.recorded = (work / OUTCOME_FILE).exists()

    def write_result(self, body: StepResult) -> None:
        """Write ``result.json``, which other ranks than 0 do not. The first wins: a lost node may run a step twice."""
        if self.member.is_first and not self._create(RESULT_FILE, {**self._head(), **body, **self._facts()}):
            print(f"mlx: {RESULT_FILE} is there already: this attempt has run before, and its first word counts",
                  flush=True)  # fmt: skip
        self._mark(Outcome("", "result"))

    def write_refusal(self, refusal: Refusal, returned: int | None = None) -> None:
        """
        Write the error of a job whose supervisor must speak for it; the log and the backend have it in any case.

        :param returned: how the child has ended, as ``subprocess`` says it; None if there was none.
        """
        from .guard import signal_name

        print(f"mlx: {refusal.reason}: {refusal.what}", flush=True)
        body: StepError = {
            "reason": refusal.reason,
            "type": refusal.reason,
            "message": refusal.what,
            "remedy": refusal.remedy,
            "exit_code": returned if returned is not None and returned >= 0 else None,
            "signal": signal_name(-returned) if returned is not None and returned < 0 else None,
            "follows": refusal.follows,
        }
        try:
            self.write_error(body, children=True)
        except Refusal as unwritten:
            print(f"mlx: {ERROR_FILE} is not written: {unwritten.what}", flush=True)
            from .causes import error_name

            name = error_name(now(), self.member.name, refusal.follows)
            self._mark(Outcome(refusal.reason, f"{refusal.reason}: {refusal.what}", name))

    def write_error(self, body: StepError, *, children: bool = False) -> None:
        """
        Write the error: as ``error.json`` if there is none, and under ``errors/`` where others may have failed too.

        :param children: the peak of memory is the children's, not this process's.
        """
        from .causes import error_name

        body.setdefault("failed_at", now())
        ours = {"node": self.member.node, "rank": self.member.rank} if self.member.gang else {}
        whole = {**ERROR_DEFAULTS, **self._head(), **ours, **body, **self._facts(children)}
        whole["message"] = bounded(str(whole["message"]), MAX_MESSAGE_BYTES)
        whole["traceback"] = bounded(str(whole["traceback"]), MAX_TRACEBACK_BYTES)
        name = error_name(whole["failed_at"], self.member.name, whole["follows"])
        # The one under errors/ first: whoever finds error.json must find what it has to be compared with.
        if self.member.gang:
            self._create(join(ERRORS_FOLDER, name), whole)
        if not self._create(ERROR_FILE, whole) and not self.member.gang:
            print(f"mlx: {ERROR_FILE} is there already, since this attempt has run before: see {ERRORS_FOLDER}/{name}",
                  flush=True)  # fmt: skip
            self._create(join(ERRORS_FOLDER, name), whole)
        who = f"{'node' if self.member.rank is None else 'rank'} {self.member.name[4:]}: " if self.member.gang else ""
        self._mark(Outcome(whole["reason"], f"{who}{whole['type']}: {whole['message']}", name))

    def _create(self, name: str, body: dict[str, Any]) -> bool:
        """Whether this call wrote the file; what is there stays."""
        data = json.dumps(body, allow_nan=False, indent=1).encode()
        try:
            self._store.write_bytes(join(self._context["outputs"]["uri"], name), data)
        except AlreadyWritten:
            return False
        return True

    def _mark(self, outcome: Outcome) -> None:
        outcome.write(self._work)
        self.recorded = True

    def _head(self) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "step": self._context["step"]}

    def _facts(self, children: bool = False) -> dict[str, Any]:
        self.timings["finished_at"] = now()
        trackers = tracked_runs()
        return {
            "environment": self.environment(),
            **({"trackers": trackers} if trackers else {}),
            "timings": {**self.timings},
            "peak_memory_bytes": peak_memory_bytes(children=children),
        }

    def environment(self) -> dict[str, Any]:
        """Interpreter and packages, all of them by digest and some by version; never environment variables."""
        requirements = self._context.get("environment", {}).get("requirements", [])
        if self._packages is None:
            self._packages = installed(requirements)
        return {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "implementation": sys.implementation.name,
            "platform": f"{sys.platform}-{os.uname().machine}",
            **self._packages,
            "requirements_sha256": _sha256("\n".join(requirements)),
        }


ERROR_DEFAULTS: dict[str, Any] = {
    "node": None,
    "rank": None,
    "follows": OWN,
    "remedy": "",
    "frames": [],
    "traceback": "",
    "exit_code": None,
    "signal": None,
    "rescued": [],
}


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
