"""The files that decide: ``result.json`` and ``error.json``, each written once."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .memory import peak_memory_bytes
from .protocol import ERROR_FILE, PROTOCOL, RESULT_FILE, StepContext, StepError, StepResult, Timings
from .refusals import AlreadyWritten
from .uris import join

if TYPE_CHECKING:
    from .store import Store

MAX_MESSAGE_BYTES = 8 * 1024
MAX_TRACEBACK_BYTES = 64 * 1024
OUTCOME_FILE = "outcome"
"""In the work folder: the child tells its supervisor that it has written a file."""


def now() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def rank() -> int:
    """This process's global rank in a multi-node job, 0 outside one. Source: torchrun's ``RANK``."""
    for name in ("RANK", "MLX_RANK"):
        text = os.environ.get(name, "")
        if text.isdigit():
            return int(text)
    return 0


def bounded(text: str, limit: int) -> str:
    """Cut a text to so many bytes of UTF-8, out of its middle; what UTF-8 cannot say is replaced."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    note = f"\n… {len(data) - limit} bytes left out …\n"
    half = (limit - len(note.encode())) // 2
    return data[:half].decode("utf-8", "ignore") + note + data[-half:].decode("utf-8", "ignore")


class Recorder:
    """
    Writes the attempt's files.

    :param context: the attempt's context.
    :param work: the work folder, where the child leaves word for its supervisor.
    """

    def __init__(self, context: StepContext, store: Store, work: Path) -> None:
        self._context = context
        self._store = store
        self._work = work
        self._packages: dict[str, Any] | None = None
        self.timings: Timings = {}
        self.recorded = (work / OUTCOME_FILE).exists()

    def write_result(self, body: StepResult) -> None:
        """Write ``result.json``, which other ranks than 0 do not. The first wins: a lost node may run a step twice."""
        if rank() == 0:
            self._write(RESULT_FILE, {**self._head(), **body, **self._facts()})
        self._mark("result")

    def write_error(self, body: StepError, *, children: bool = False) -> None:
        """
        Write ``error.json`` (of another rank than 0: ``error-rank<N>.json``).

        :param children: the peak of memory is the children's, not this process's.
        """
        name = ERROR_FILE if rank() == 0 else f"error-rank{rank()}.json"
        whole = {**ERROR_DEFAULTS, **self._head(), **body, **self._facts(children)}
        whole["message"] = bounded(str(whole["message"]), MAX_MESSAGE_BYTES)
        whole["traceback"] = bounded(str(whole["traceback"]), MAX_TRACEBACK_BYTES)
        self._write(name, whole)
        self._mark("error")

    def _write(self, name: str, body: dict[str, Any]) -> None:
        data = json.dumps(body, allow_nan=False, indent=1).encode()
        try:
            self._store.write_bytes(join(self._context["outputs"]["uri"], name), data)
        except AlreadyWritten:
            print(f"mlx: {name} is there already: this attempt has run before, and its first word counts", flush=True)

    def _mark(self, word: str) -> None:
        (self._work / OUTCOME_FILE).write_text(word)
        self.recorded = True

    def _head(self) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "step": self._context["step"]}

    def _facts(self, children: bool = False) -> dict[str, Any]:
        self.timings["finished_at"] = now()
        return {
            "environment": self.environment(),
            "timings": {**self.timings},
            "peak_memory_bytes": peak_memory_bytes(children=children),
        }

    def environment(self) -> dict[str, Any]:
        """Interpreter and packages, by digest; never environment variables."""
        if self._packages is None:
            self._packages = _packages()
        requirements = "\n".join(self._context.get("environment", {}).get("requirements", ()))
        return {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "implementation": sys.implementation.name,
            "platform": f"{sys.platform}-{os.uname().machine}",
            **self._packages,
            "requirements_sha256": _sha256(requirements),
        }


ERROR_DEFAULTS: dict[str, Any] = {
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


def _packages() -> dict[str, Any]:
    """
    Digest and number of the distributions on the path.

    Read from the folders' names (``name-version.dist-info``), which is what ``importlib.metadata`` does, without its
    imports: a job of a few milliseconds should not spend thirty on this.
    """
    names = set()
    for entry in sys.path:
        try:
            found = os.listdir(entry)  # noqa: PTH208  (thousands of names, no Path objects)
        except OSError:
            continue
        names |= {name[: -len(".dist-info")].lower() for name in found if name.endswith(".dist-info")}
    return {"packages_sha256": _sha256("\n".join(sorted(names))), "packages": len(names)}
