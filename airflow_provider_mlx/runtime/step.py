"""
``current_step``: what a step's code may say about itself.

Inside a job, metrics and datasets go into ``result.json`` and progress becomes live lines. Outside one, in a notebook
or a test, every call prints and none fails.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping  # noqa: UP035  (Python 3.9)

from .protocol import CHECKPOINTS_FOLDER, SERIES_FILE
from .values import Dataset
from .wire import encode

if TYPE_CHECKING:
    from .lines import LineWriter
    from .protocol import StepContext
    from .series import SeriesWriter
    from .store import Store


class StepSkipped(BaseException):
    """The step's code asked to be skipped. Not an ``Exception``, so that ``except Exception`` does not swallow it."""


class StepCancelled(BaseException):
    """The job was told to stop; raised where the step's code stands, so that its ``finally`` blocks run."""


class CurrentStep:
    """The step that this process runs; use the one instance, ``current_step``."""

    def __init__(self) -> None:
        self._context: StepContext = {}
        self._lines: LineWriter | None = None
        self._store: Store | None = None
        self._work: Path | None = None
        self._is_first = True
        self._lock = threading.Lock()
        self._series: SeriesWriter | None = None
        self._metrics: dict[str, float] = {}
        self._datasets: dict[str, list[dict[str, Any]]] = {"read": [], "written": []}
        self._result: Any = None
        self._checkpoints: dict[str, Path] = {}
        """The folders that the step has asked for, and where they are."""
        self._checkpoints_lock = threading.Lock()

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """
        Record a metric. The last value counts as the step's result; each one is shown while the step runs.

        :param value: a number; NumPy and framework scalars are converted by ``float()``.
        :param step: the iteration or epoch, if there is one: such values become the step's artifact ``series``.
        """
        number = float(value)
        with self._lock:
            self._metrics[str(name)] = number
            if step is not None and self._work is not None and self._series is None:
                from .series import SeriesWriter

                self._series = SeriesWriter(self._work / SERIES_FILE)
        if step is not None and self._series is not None:
            self._series.add(str(name), int(step), number)
        shown: Any = number if math.isfinite(number) else encode(number)["value"]
        self._say("metric", name=str(name), value=shown, step=step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record several metrics."""
        for name, value in metrics.items():
            self.log_metric(name, value, step)

    def log_progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """
        Show how far the step is: ``log_progress(0.4)`` as a fraction, or ``log_progress(40, 100)``.

        Advice only: a fraction outside 0 to 1 is shown as the nearer end.
        """
        fraction = done if total is None else (done / total if total else 0.0)
        fraction = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
        parts = {"done": float(done), "total": float(total)} if total is not None else {}
        self._say("progress", fraction=fraction, **parts, message=str(message))

    def checkpoint_dir(self, *, across_clears: bool = False) -> Path:
        """
        The folder for checkpoints, with what earlier attempts of the step have left there.

        Whatever is written into it is kept while the step runs: at once where the artifact root is a mounted folder,
        else within seconds after a file is complete. A folder that does not outlive the job where the step has none.

        :param across_clears: the folder that a clear of the task does not change; by default a clear starts an empty
            one, since new code or new data must not go on from old state.
        :raises ArtifactError: earlier checkpoints exist and cannot be restored.
        """
        uri = self._context.get("checkpoint_uri")
        if not uri or self._store is None:
            folder = (self._work or Path(os.environ.get("TMPDIR") or "/tmp")) / "mlx-checkpoints"  # noqa: S108
            self._note(f"checkpoints are kept in {folder} and do not outlive the job")
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        name = "all" if across_clears else f"since-{self._context.get('checkpoints_since', 1)}"
        with self._checkpoints_lock:
            area = self._store.local_path(uri) or Path(str(self._work)) / CHECKPOINTS_FOLDER
            if not (area / name).is_dir() and self._store.local_path(uri) is None:
                from .checkpoints import restore

                restore(area, name, self._store, uri, self._note)
            (area / name).mkdir(parents=True, exist_ok=True)
            self._checkpoints[name] = area
        return area / name

    def sync_checkpoints(self, timeout_seconds: float = 600.0) -> bool:
        """
        Have what is in the checkpoint folder stored now, and wait: before something that may end the step.

        Of several ranks it is rank 0 that asks; the others are told that nothing of theirs is stored.

        :param timeout_seconds: how long to wait.
        :returns: whether all of it is stored; the log says why not.
        """
        uri = self._context.get("checkpoint_uri")
        if not uri or self._store is None:
            self._note("checkpoints do not outlive this process")
            return False
        mounts = self._context.get("store", {}).get("mounts", ())
        covering = [mount for mount in mounts if f"{uri}/".startswith(f"{mount['uri'].rstrip('/')}/")]
        is_folder = self._store.local_path(uri) is not None
        if is_folder and any(mount.get("background") for mount in covering):
            self._note("the checkpoint folder is copied while the step runs; nobody can be asked whether it is by now")
            return False
        if is_folder and not any(mount.get("mirrored") for mount in covering):
            return True  # the folder is the store
        if not self._is_first:
            return False
        from .checkpoints import ask_for_sync

        until = time.monotonic() + timeout_seconds
        stored = [ask_for_sync(area, name, until - time.monotonic()) for name, area in self._checkpoints.items()]
        if not all(stored):
            self._note("not everything in the checkpoint folder is stored")
        return all(stored)

    def dataset(self, uri: str, version: str | None = None, *, write: bool = False) -> Dataset:
        """
        Name a dataset that the step reads (or writes), for lineage; the data itself is not touched.

        :param version: the store's own version or ETag.
        """
        found = Dataset(str(uri), version)
        entries = self._datasets["written" if write else "read"]
        with self._lock:
            if found.to_wire() not in entries:
                entries.append(found.to_wire())
        self._note(f"{'writes' if write else 'reads'} {uri}")
        return found

    def skip(self, reason: str) -> None:
        """
        End the step here: its task and those that depend on it are skipped.

        :raises StepSkipped: always; outside a job too, since code behind a skip must not run.
        """
        self._note(f"skipped: {reason}")
        raise StepSkipped(str(reason))

    def result(self, value: Any) -> None:
        """Set a script's result; the last one counts. A function returns its result instead."""
        self._result = value
        self._note("the script's result is set")

    @property
    def attempt(self) -> int:
        """The number of this job among those of the task instance; 1 outside a job."""
        return int(self._identity("attempt", 1))

    @property
    def try_number(self) -> int:
        """Airflow's own count of tries; 1 outside a job."""
        return int(self._identity("try_number", 1))

    @property
    def dag_id(self) -> str:
        """The DAG's id; empty outside a job."""
        return str(self._identity("dag_id", ""))

    @property
    def run_id(self) -> str:
        """The DAG run's id; empty outside a job."""
        return str(self._identity("run_id", ""))

    @property
    def task_id(self) -> str:
        """The task's id; empty outside a job."""
        return str(self._identity("task_id", ""))

    @property
    def outputs_uri(self) -> str:
        """The attempt's folder in the artifact root; empty outside a job."""
        return str(self._context.get("outputs", {}).get("uri", ""))

    def _identity(self, key: str, default: Any) -> Any:
        return self._context.get("step", {}).get(key, default)

    def _say(self, type: str, **fields: Any) -> None:
        fields = {key: value for key, value in fields.items() if value not in (None, "")}
        if self._lines is not None:
            self._lines.write(type, **fields)
        else:
            print(f"mlx {type}: {json.dumps(fields, default=str)}", flush=True)

    def _note(self, text: str) -> None:
        self._say("log", message=text)


current_step = CurrentStep()


def bind(context: StepContext, lines: LineWriter, store: Store, work: Path, *, is_first: bool = True) -> None:
    """
    Tell ``current_step`` which job it is in (the child does, once).

    :param is_first: this is rank 0, whose checkpoints are stored.
    """
    current_step._context, current_step._lines = context, lines
    current_step._store, current_step._work = store, work
    current_step._is_first = is_first


def recorded() -> tuple[dict[str, float], dict[str, list[dict[str, Any]]], Any]:
    """Metrics, datasets and the script's result, as they stand."""
    return dict(current_step._metrics), current_step._datasets, current_step._result
