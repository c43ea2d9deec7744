"""Secrets that Airflow knows, in fields that would be kept where everybody sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import redact

from airflow_provider_mlx.exceptions import Problem


def is_masked(value: Any) -> bool:
    """Whether Airflow would mask something in this value: it knows it as a secret, wherever it stands in a text."""
    if isinstance(value, str):
        return bool(redact(value) != value)
    if isinstance(value, Mapping):
        return any(is_masked(item) for pair in value.items() for item in pair)
    return isinstance(value, (list, tuple)) and any(is_masked(item) for item in value)


def masked_problems(operator: Any, fields: Iterable[str], *, where: str, instead: str) -> list[Problem]:
    """
    A problem for each field that holds a secret.

    :param where: it would be kept: ``it is written to the artifact root``.
    :param instead: what to do.
    """
    what = f"its value is a secret that Airflow masks, and {where}"
    return [Problem(what, instead, name) for name in fields if is_masked(getattr(operator, name))]
