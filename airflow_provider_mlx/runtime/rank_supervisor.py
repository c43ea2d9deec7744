"""
One rank: its code runs in one child process, and this process answers for it.

It stores the checkpoints of rank 0, and says in the error's file what became of a child that could not say so itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .forking import may_fork
from .protocol import EXIT_CANCELLED, EXIT_MISCONFIGURED, EXIT_OK, EXIT_STEP_FAILED, EXIT_TAMPERED, SERIES_FILE
from .records import Outcome
from .refusals import Refusal

if TYPE_CHECKING:
    from .checkpoints import Keeper
    from .guard import Guard
    from .protocol import StepContext
    from .records import Recorder
    from .store import Store

LAST_CHECKPOINT_SECONDS, LATE_SECONDS = 600.0, 3.0  # when the step is over; after the grace of one that was stopped


class RankSupervisor:
    """
    Runs the user's code of one rank.

    :param work: the rank's own folder, which has ``source`` and ``context.json``.
    """

    def __init__(
        self, context: StepContext, bundle: Path, work: Path, store: Store, recorder: Recorder, guard: Guard
    ) -> None:  # fmt: skip
        self._context = context
        self._bundle = bundle
        self._work = work
        self._store = store
        self._recorder = recorder
        self._is_first = recorder.member.is_first
        self._guard = guard
        self._checkpoints: Keeper | None = None

    def run(self, python: str) -> int:
        """
        From the child's start to the rank's last word; the exit status, from ``protocol.py``.

        :param python: the interpreter that has what the step requires.
        :raises Forked: in the child.
        """
        try:
            returned = self._run_child(python)
            outcome = Outcome.read(self._work)
            if outcome is None:
                raise self._guard.cause_of_death(returned)
            return self._exit_status(outcome, returned)
        except Refusal as refusal:
            process = self._guard.process
            self._recorder.write_refusal(refusal, process.returncode if process else None)
            return refusal.exit_status
        finally:
            if not self._guard.forked:
                self._keep_the_rest()

    def _run_child(self, python: str) -> int:
        self._guard.check_cancelled()
        if python == sys.executable and may_fork():
            self._guard.fork(self._work / "source")
        else:
            self._start(python)
        self._keep_checkpoints()
        return self._guard.wait()

    def _start(self, python: str) -> None:
        from .child_command import CHILD_COMMAND

        command = [python, "-c", CHILD_COMMAND, str(self._bundle), str(self._work), json.dumps(self._recorder.timings)]
        self._guard.spawn(command, {**os.environ, "PYTHONUNBUFFERED": "1"}, cwd=self._work / "source")

    def _keep_checkpoints(self) -> None:
        """Where the store is no folder here, rank 0 stores them; after the fork, since it takes a thread."""
        uri = self._context.get("checkpoint_uri")
        if uri and self._is_first and self._store.local_path(uri) is None:
            from .checkpoints import keep

            self._checkpoints = keep(self._context, self._work)

    def _keep_the_rest(self) -> None:
        """When the result or the error is written: the metrics of a step that failed, and the last checkpoint."""
        if (self._work / SERIES_FILE).exists() and self._is_first:
            from .series import rescue

            rescue(self._work / SERIES_FILE, self._store, self._context["outputs"]["uri"])
        if self._checkpoints is not None:
            until = time.monotonic() + LAST_CHECKPOINT_SECONDS
            self._checkpoints.finish(lambda: min(until, self._guard.gone_at + LATE_SECONDS) - time.monotonic())

    def _exit_status(self, outcome: Outcome, returned: int) -> int:
        if not outcome.reason:
            return EXIT_OK
        if self._guard.cancelled:
            return EXIT_CANCELLED
        return returned if returned in (EXIT_STEP_FAILED, EXIT_MISCONFIGURED, EXIT_TAMPERED) else EXIT_STEP_FAILED
