"""A step as the list of steps shows it: one run of ours, from its facets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .facts import facets_in


def step_of(row: Mapping[str, Any], dag: str, airflow: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    One line of the list.

    :param row: of ``run``, with its job's as ``job_row``.
    :param dag: whose step it is.
    :param airflow: the row of the task run around it, as far as that is known.
    """
    facets = facets_in(row["facts"])
    job, resources, cost = (_facet(facets, name) for name in ("mlx_remoteJob", "mlx_resources", "mlx_cost"))
    above = airflow if airflow is not None and airflow["dag"] == dag else {}
    gpu_seconds = resources.get("gpuSeconds")
    return {
        "run": row["id"], "job": row["job"], "name": row["job_row"]["name"],
        "dag": dag, "task": above.get("task"), "dag_run": above.get("dag_run"), "map_index": above.get("map_index"),
        "try": above.get("try"), "backend": row["backend"], "state": row["state"], "stack": job.get("stack"),
        "target": job.get("target"), "attempt": job.get("attempt"), "reason": job.get("reason"),
        "started": row["started"], "ended": row["ended"], "seconds": _seconds(row["started"], row["ended"]),
        "gpu_hours": round(gpu_seconds / 3600, 4) if isinstance(gpu_seconds, (int, float)) else None,
        "cost": {name: cost.get(name) for name in ("amount", "currency", "estimated")} if cost else None,
        "url": _page(job.get("url")), "image": resources.get("image"),
    }  # fmt: skip


def _page(url: Any) -> str | None:
    """An address that a browser may be sent to."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else None


def _seconds(started: str, ended: str | None) -> float | None:
    if ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def _facet(facets: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facets.get(name)
    return found if isinstance(found, Mapping) else {}
