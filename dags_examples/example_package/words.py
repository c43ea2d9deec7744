"""An entry point: a function that does not know Airflow."""

from __future__ import annotations


def shout(word: str) -> str:
    """A word, loudly."""
    return f"{word.upper()}!"
