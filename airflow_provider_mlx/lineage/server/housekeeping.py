"""What is removed after a while, beside the requests: by whichever API server gets to it, at most once an hour."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_mlx.lineage.store.opening import Store

log = logging.getLogger(__name__)

_LOOK: Final = 300.0
"""Seconds between two looks of one process at whether it is time."""
_PAUSE: Final = 0.05
"""Seconds between two transactions: others write in between."""
_LONGEST: Final = 1200.0
"""Seconds of one sweep; the next goes on."""


class Housekeeping:
    """
    Retention.

    :param days: events of runs that were over before are removed; 0: none ever.
    """

    def __init__(self, store: Store, days: int) -> None:
        self._store, self._days = store, days
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def nudge(self) -> None:
        """A request has come: look beside it whether it is time. Takes no time itself."""
        if not self._days or time.monotonic() - self._looked < _LOOK or not self._lock.acquire(blocking=False):
            return
        self._looked = time.monotonic()
        threading.Thread(target=self._sweep, name="mlx-lineage-housekeeping", daemon=True).start()

    def sweep(self, now: datetime) -> bool:
        """Remove what is old; whether this process was the one to do it."""
        if not self._store.begin_sweep(now):
            return False
        until, place = time.monotonic() + _LONGEST, ("", "")
        while (after := self._store.forget(now - timedelta(days=self._days), after=place)) is not None:
            if time.monotonic() > until:
                break
            place = after
            time.sleep(_PAUSE)
        return True

    def _sweep(self) -> None:
        try:
            self.sweep(datetime.now(UTC))
        except Exception:  # the next sweep does what this one could not
            log.exception("mlx: old lineage events could not be removed")
        finally:
            self._lock.release()
