"""
The process in which the user's code runs.

Inputs are loaded, the code is called, its results are stored, and ``result.json`` is written last. Whatever goes wrong
becomes ``error.json`` here, while the exception is at hand; if this process is killed, its supervisor writes it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Iterator, TextIO, cast  # noqa: UP035  (Python 3.9)

from . import step as step_module
from .annotations import NOTHING, parameters, return_annotation
from .inputs import Inputs
from .lines import LineWriter
from .member import member_of
from .protocol import (
    CLIENT_FOLDER,
    CONTEXT_FILE,
    EXIT_CANCELLED,
    EXIT_OK,
    EXIT_STEP_FAILED,
    OWN,
    PEER,
    STOP,
    Arguments,
    StepContext,
    StepError,
    Timings,
)
from .records import STOPPED_FILE, Recorder, now
from .refusals import JobCancelled, JobMisconfigured, Refusal, StepFailed
from .results import Results, check_return_type
from .step import StepCancelled, StepSkipped, current_step
from .store import Store
from .streams import stream_of, unbuffered
from .values import datasets_in
from .wire import decode, encode


def main() -> None:
    """Run one step: ``sys.argv`` is bundle, work folder and the supervisor's timings as JSON. Never returns."""
    run_child(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))


def run_child(bundle: str, work: Path, timings: Timings) -> None:
    """Run one step in this process; stops that the supervisor held back are let in once the handlers stand."""
    if (work / CLIENT_FOLDER).is_dir():  # the interpreter may be another one than the supervisor's
        from .installed_client import use_client

        use_client(work)
    context = cast("StepContext", json.loads((work / CONTEXT_FILE).read_bytes()))
    member = member_of(context, os.environ)
    sys.stdout, sys.stderr = stream_of(member, 1), stream_of(member, 2)
    sys.exit(Child(context, Path(bundle), work, timings).run())


class Child:
    """One step, from its context to its result."""

    def __init__(self, context: StepContext, bundle: Path, work: Path, timings: Timings) -> None:
        self._context = context
        self._payload = context["payload"]
        self._bundle = bundle
        self._source = work / "source"
        self._work = work
        access = context.get("store", {})
        self._store = Store(access, scratch=work)
        self._allowed = list(access.get("allowed", ()))
        self._member = member_of(context, os.environ)
        self._recorder = Recorder(context, self._store, work, self._member)
        self._recorder.timings.update(timings)
        self._cancelled = False
        self._versions: dict[str, str] = {}
        self._says: Any = NOTHING
        """The return annotation of the step's function."""

    def run(self) -> int:
        """Run the step and write its files; the exit status, from ``protocol.py``."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        step_module.bind(self._context, self._lines(), self._store, self._work, is_first=self._member.is_first)
        sys.path.insert(1, str(self._source))
        try:
            value = self._script() if self._payload["kind"] == "script" else self._function()
            if not self._member.is_first:
                self._write_result({}, None)
                return EXIT_OK
            with self._timed("upload"):
                results = Results(self._context, self._store, self._work, self._versions)
                outputs = results.encode(value, self._says)
                results.add_series(outputs)
            current_step.log_metrics(results.metrics)
            for dataset in datasets_in(value):
                current_step.dataset(dataset.uri, results.versions.get(dataset.uri, dataset.version), write=True)
            self._write_result(outputs, None)
        except StepSkipped as skipped:
            self._write_result({}, str(skipped))
        except BaseException as error:
            return self._fail(error)
        return EXIT_OK

    def _lines(self) -> LineWriter:
        """Live lines are rank 0's, and go past what is put before the lines of a rank."""
        stream: TextIO = sys.stdout
        if self._member.gang:
            stream = unbuffered(1) if self._member.is_first else Path(os.devnull).open("w")  # noqa: SIM115
        return LineWriter(self._context["nonce"], stream)

    def _function(self) -> Any:
        with self._timed("compute"):
            function = self._find_function()
        with self._timed("download"):
            self._says = return_annotation(function)
            check_return_type(self._says)
            arguments, keywords = self._arguments(function)
        sys.argv = [self._payload["module"]]
        with self._timed("compute"):
            value = function(*arguments, **keywords)
            # By attribute, since `inspect` says the same and a call of a decorated function may give a coroutine too.
            if hasattr(value, "cr_frame") and hasattr(value, "send"):
                import asyncio

                value = asyncio.run(value)
        return value

    def _find_function(self) -> Any:
        import importlib

        found: Any = importlib.import_module(self._payload["module"])
        for name in self._payload["function"].split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                raise JobMisconfigured(
                    f"there is no {self._payload['function']!r} in {self._payload['module']!r}",
                    "check the entry point's spelling",
                ) from None
        return found

    def _arguments(self, function: Any) -> tuple[list[Any], dict[str, Any]]:
        none: Arguments = {"args": [], "kwargs": {}}
        arguments = self._context.get("arguments", none)
        try:
            positional, keywords = decode(arguments["args"]), decode(arguments["kwargs"])
        except ValueError as error:
            raise JobMisconfigured(f"the step's arguments cannot be read: {error}") from error
        inputs = Inputs(self._store, self._allowed, self._work / "inputs")
        annotation = parameters(function)
        resolved = (
            [inputs.resolve(value, annotation(index)) for index, value in enumerate(positional)],
            {name: inputs.resolve(value, annotation(name)) for name, value in keywords.items()},
        )
        self._versions = inputs.versions
        for uri, version in inputs.versions.items():
            current_step.dataset(uri, version)
        return resolved

    def _script(self) -> Any:
        import runpy

        path = self._source / self._payload["path"]
        if not path.is_file():
            raise JobMisconfigured(f"there is no script {self._payload['path']!r} in the bundle")
        sys.argv = [str(path), *self._payload.get("argv", ())]
        if path.parent != self._source:
            sys.path.insert(1, str(path.parent))  # as Python does for a script
        with self._timed("compute"):
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit as ended:
                if ended.code not in (None, 0):
                    raise
        return step_module.recorded()[2]

    def _write_result(self, outputs: Any, skipped: str | None) -> None:
        metrics, datasets, _ = step_module.recorded()
        self._recorder.write_result(
            {"outputs": outputs, "metrics": encode(metrics), "datasets": datasets, "skipped": skipped}
        )

    def _fail(self, error: BaseException) -> int:
        """Write ``error.json`` and print the same traceback, unless the result is out already."""
        from .failure import LineMap, describe

        failed_at, follows = now(), self._what_it_follows(error)
        lines = LineMap(self._payload, self._source, str(self._bundle))
        body = describe(self._as_refusal(error), lines)
        report = body.get("traceback") or ""
        if not report or isinstance(error, Refusal):
            report += f"{body['reason']}: {body['message']}\n"
        if body.get("remedy"):
            report += f"→ {body['remedy']}\n"
        print(report, end="", file=sys.stderr, flush=True)
        if not self._recorder.recorded:
            body["failed_at"], body["follows"] = failed_at, follows
            self._recorder.write_error(self._with_exit_code(body, error))
        if self._cancelled:
            return EXIT_CANCELLED
        return error.exit_status if isinstance(error, Refusal) else EXIT_STEP_FAILED

    def _as_refusal(self, error: BaseException) -> BaseException:
        found: Refusal
        if isinstance(error, (StepCancelled, KeyboardInterrupt)):
            found = JobCancelled("the job was told to stop, and its code was interrupted")
        elif isinstance(error, SystemExit):
            text = f": {error.code}" if isinstance(error.code, str) else ""
            found = StepFailed(f"the step's code ended the process with exit code {_exit_code(error)}{text}")
        else:
            return error
        found.__cause__ = error
        return found

    def _with_exit_code(self, body: StepError, error: BaseException) -> StepError:
        if isinstance(error, SystemExit):
            body["exit_code"] = _exit_code(error)
        if self._cancelled:
            body["signal"] = "SIGTERM"
        return body

    def _what_it_follows(self, error: BaseException) -> str:
        """As ``causes.py`` has it; the step may have a handler of its own for the signal to stop."""
        if self._cancelled or (self._work / STOPPED_FILE).exists():
            return STOP
        if not self._member.gang:
            return OWN
        from .causes import has_lost_a_peer

        return PEER if has_lost_a_peer(error) else OWN

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Raise in the user's code, once: a second signal must not interrupt its ``finally`` blocks."""
        if self._cancelled:
            return
        self._cancelled = True
        raise StepCancelled(signal.Signals(number).name)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            timings = cast("dict[str, float]", self._recorder.timings)
            timings[part] = round(timings.get(part, 0.0) + time.monotonic() - start, 6)


def _exit_code(ended: SystemExit) -> int:
    """As Python does: None is 0, text is printed and is 1."""
    if ended.code is None:
        return 0
    return ended.code if isinstance(ended.code, int) else 1
