"""What an output looks like, as a few lines of the task's log."""

from __future__ import annotations

from typing import Any

from .codecs import Codec
from .values import ArtifactReference

MAX_LINES = 16
MAX_CHARACTERS = 160
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def preview(name: str, value: Any, codec: Codec, reference: ArtifactReference) -> list[str]:
    """
    A headline with type, size and place, and what the codec can tell of the value.

    A codec that fails to describe a value that it has written is no reason to lose it.
    """
    lines = [f"mlx: output `{name}`: {reference.type}, {size_text(reference.size)} as {codec.name}, {reference.uri}"]
    try:
        told = [line for text in codec.describe(value) for line in str(text).splitlines()]
    except Exception as error:
        told = [f"(no preview: {type(error).__name__})"]
    if len(told) > MAX_LINES:
        told = [*told[: MAX_LINES - 1], "…"]
    return lines + [f"  {line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + '…'}" for line in told]


def size_text(size: float) -> str:
    """A number of bytes for people: ``24.0 KiB``."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} bytes" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"
