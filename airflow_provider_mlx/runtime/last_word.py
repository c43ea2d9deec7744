"""
A word for the backend's own record of a job: Kubernetes shows the text of its termination message with the pod.

It helps where there is no ``error.json``, as in a job that cannot read its context.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Sequence  # noqa: UP035  (Python 3.9)

MAX_BYTES = 1024
"""Kubernetes takes 4 KiB of a container and 12 KiB of a pod; SageMaker's exit message has 1 KiB."""
_SHORTEST_LINE = 8
"""A line of a secret of several lines, as a key's, is taken for a secret from this length on."""


def write_word(path: Path, text: str, secrets: Sequence[str]) -> None:
    """
    Write the job's last word.

    :param secrets: names of environment variables whose values must not appear.
    """
    try:
        path.write_text(one_line(text, secrets, os.environ))
    except OSError as error:
        print(f"mlx: {path} was not written: {error}", flush=True)


def one_line(text: str, secrets: Sequence[str], variables: Mapping[str, str]) -> str:
    """The text without secrets, in one line of at most :data:`MAX_BYTES` bytes of UTF-8."""
    from .uris import without_credentials

    hidden = {part for name in secrets for part in _parts(variables.get(name, ""))}
    for part in sorted(hidden, key=len, reverse=True):
        text = text.replace(part, "***")
    text = " ".join(without_credentials(text).split())
    return text.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore")


def _parts(value: str) -> list[str]:
    lines = [line.strip() for line in value.splitlines()]
    return [part for part in (value, value.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)) if part]
