"""Which environment of frameworks has what each codec needs: ``.build/<group>``, made by the Makefile."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Final

from airflow_provider_mlx.runtime.codecs import CODECS

VALUES: Final = Path(__file__).parent / "values"
TORCH: Final = ("safetensors", "transformers")
"""Gigabytes on Linux, and a group of their own."""
SAME_VALUES: Final = {"model_file": "file", "model_directory": "directory"}
"""Codecs that are chosen by the annotation, for values of another one."""


def codecs_of(group: str) -> list[str]:
    """The codecs that are tested in a group's environment."""
    return [name for name in CODECS if (name in TORCH) == (group == "torch")]


def values_file(codec: str) -> Path:
    """The file of :func:`values_of`, which may not be imported here: a model's imports its framework."""
    return VALUES / f"{SAME_VALUES.get(codec, codec)}.py"


def values_of(codec: str) -> ModuleType:
    """
    The codec's module of values.

    It has ``make()`` for the one that travels, and where there is more to say ``others()`` and ``refused()`` (by a few
    words about each), ``same(made, got)`` and ``UNDETECTED``.
    """
    import importlib

    return importlib.import_module(f"tests.codecs.values.{values_file(codec).stem}")
