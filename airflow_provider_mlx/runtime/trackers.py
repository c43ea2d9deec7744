"""
The runs of experiment trackers that a step's code has logged to, if it has loaded their libraries.

Nothing is imported and no server is asked: only what the libraries remember in this process is looked at. Whatever goes
wrong there is no tracker.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from .protocol import TrackedRun
from .uris import without_credentials

_LONGEST = 500
"""Characters of an id or a URL."""


def tracked_runs() -> list[TrackedRun]:
    """The last run of each tracker, at the end of the step's code."""
    found = []
    for name, read in (("mlflow", _mlflow), ("wandb", _wandb)):
        library = sys.modules.get(name)
        if library is None:
            continue
        with contextlib.suppress(Exception):
            run_id, url = read(library)
            if isinstance(run_id, str) and 0 < len(run_id) <= _LONGEST:
                found.append(TrackedRun(kind=name, id=run_id, url=_address(url)))
    return found


def _mlflow(mlflow: Any) -> tuple[Any, Any]:
    """
    The active run, else the last one that ended.

    ``mlflow.last_active_run()`` would ask the server; the id alone is remembered. Its page is found by the id:
    ``/runs/:runUuid`` of MLflow's UI.
    """
    active = mlflow.active_run()
    run_id = active.info.run_id if active is not None else None
    if run_id is None:
        last = getattr(sys.modules.get("mlflow.tracking.fluent"), "_last_active_run_id", None)
        get = getattr(last, "get", None)  # one per thread in newer releases
        run_id = get() if get else last
    return run_id, f"{mlflow.get_tracking_uri().rstrip('/')}/#/runs/{run_id}"


def _wandb(wandb: Any) -> tuple[Any, Any]:
    """The run that is open; of one that was finished nothing is remembered."""
    return wandb.run.id, wandb.run.url


def _address(url: Any) -> str | None:
    """Without user and password."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > _LONGEST:
        return None
    scheme, _, rest = without_credentials(url).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
