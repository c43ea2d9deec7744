"""
What runs inside a job, and the small API that a step's code may use there.

Standard library only at import time, Python 3.9 and newer, nothing of Airflow. Names are loaded when they are asked
for: a job's start-up pays for what it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .codec import Codec
    from .outputs import Metrics, Model, Output
    from .protocol import PROTOCOL
    from .shown import Html, Markdown, Table
    from .step import current_step
    from .values import ArtifactReference as Artifact
    from .values import Dataset

__all__ = [
    "PROTOCOL", "Artifact", "Codec", "Dataset", "Html", "Markdown", "Metrics", "Model", "Output", "Table",
    "current_step",
]  # fmt: skip

_HOMES = {
    "Artifact": ("values", "ArtifactReference"),
    "Codec": ("codec", "Codec"),
    "Dataset": ("values", "Dataset"),
    "Html": ("shown", "Html"),
    "Markdown": ("shown", "Markdown"),
    "Metrics": ("outputs", "Metrics"),
    "Model": ("outputs", "Model"),
    "Output": ("outputs", "Output"),
    "PROTOCOL": ("protocol", "PROTOCOL"),
    "Table": ("shown", "Table"),
    "current_step": ("step", "current_step"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
