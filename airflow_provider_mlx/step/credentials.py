"""Credentials where they would be kept: a requirement stands in the DAG, in its serialized form and in the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from airflow_provider_mlx.exceptions import Problem

_LOGIN: Final = re.compile(r"://(?P<login>[^/\s@]+)@")
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
"""What pip and uv fill in from the job's environment. Source: pip, "Requirements File Format"."""
_HARMLESS: Final = frozenset({"git", "oauth2", "__token__", "x-access-token"})
"""Users that are no secret: of ``git+ssh`` URLs, and before a token."""

REMEDY: Final = (
    "name the secret under `secrets=` and write `${NAME}` in its place, which pip and uv fill in inside the job, "
    "or set the index where the job runs (PIP_INDEX_URL, UV_DEFAULT_INDEX)"
)


def requirement_problems(lines: Iterable[str]) -> list[Problem]:
    """The requirement lines that hold a login; none of them is repeated."""
    return [
        Problem(
            "it has a login in a URL, and requirements are written to the artifact root", REMEDY, f"requirements[{n}]"
        )
        for n, line in enumerate(lines)
        if any(_is_secret(found["login"]) for found in _LOGIN.finditer(line))
    ]


def _is_secret(login: str) -> bool:
    """A token may stand alone before the ``@``, so only variables and well-known users pass."""
    user, _, password = login.partition(":")
    plain = password if user in _HARMLESS or password else user
    return plain not in ("", *_HARMLESS) and _VARIABLE.fullmatch(plain) is None
