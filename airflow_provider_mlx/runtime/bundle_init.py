"""
The `airflow_provider_mlx` of a job: only what a step's code needs.

This file becomes `airflow_provider_mlx/__init__.py` inside the bundle, where nothing of Airflow and no other part of
the provider exists.
"""

from __future__ import annotations

from typing import Any

__all__ = [  # noqa: F822  (they come from __getattr__)
    "Artifact", "Dataset", "Html", "Markdown", "Metrics", "Model", "Output", "Table", "current_step",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name not in __all__:
        raise AttributeError(
            f"`airflow_provider_mlx.{name}` does not exist inside a job: only {', '.join(__all__)} do. "
            "Use it in the DAG file, outside the step's function."
        )
    from airflow_provider_mlx import runtime

    return getattr(runtime, name)
