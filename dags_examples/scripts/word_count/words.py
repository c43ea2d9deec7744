"""Beside the script: travels with it."""

from __future__ import annotations


def split(text: str) -> list[str]:
    """The words of a text."""
    return text.split()
