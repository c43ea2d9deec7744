"""What goes wrong for an operator that may not heed a SIGTERM: as on Kubernetes, SIGKILL follows."""

from __future__ import annotations

import signal
import time
from typing import Final

from tests.faults.case import Case

GRACE_SECONDS: Final = 30.0
"""Kubernetes' default between SIGTERM and SIGKILL."""


def drain(case: Case) -> None:
    """SIGTERM to the supervisor, and the end of its machine when the grace period is over; a retry is left."""
    drain_on_the_last_try(case)
    case.wait_next_try()
    time.sleep(1)
    case.release()


def drain_on_the_last_try(case: Case) -> None:
    """The same, and nobody would collect the job."""
    case.reach_point()
    both = (case.supervisor(), case.task_process())
    both[0].send(signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while any(process.alive() for process in both) and time.monotonic() < until:
        time.sleep(0.5)
    case.kill(*both)
