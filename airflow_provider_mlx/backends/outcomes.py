"""What a backend writes down for a job that could not do so itself: ``result.json`` or ``error.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.runtime.protocol import CONTEXT_FILE, PROTOCOL
from airflow_provider_mlx.runtime.results import RETURN_VALUE
from airflow_provider_mlx.runtime.uris import join


def record_outcome(store: ObjectStore, folder: str, name: str, body: Mapping[str, Any]) -> None:
    """
    Write an attempt's outcome; one that is there stays.

    :param folder: the attempt's.
    :param name: ``result.json`` or ``error.json``.
    :param body: without what every outcome says: the protocol, and whose it is.
    """
    step = json.loads(store.read(join(folder, CONTEXT_FILE)) or b"{}").get("step")
    store.create(join(folder, name), json.dumps({"protocol": PROTOCOL, "step": step, **body}, indent=1).encode())


def plain_result(
    value: Any,
    *,
    started: datetime | None = None,
    finished: datetime | None = None,
    metrics: Mapping[str, float] | None = None,
    datasets: Mapping[str, list[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """
    The body of a ``result.json`` that says one plain value.

    :param value: plain JSON, as ``runtime.wire.encode`` gives it.
    :param datasets: ``read`` and ``written``, as they travel.
    """
    times = {"started_at": started, "finished_at": finished}
    return {
        "outputs": {RETURN_VALUE: {"artifact": None, "inline": True, "value": value}},
        "metrics": dict(metrics or {}),
        "datasets": {"read": [], "written": [], **(datasets or {})},
        "skipped": None,
        "timings": {name: at.isoformat() for name, at in times.items() if at is not None},
    }
