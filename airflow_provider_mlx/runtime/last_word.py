"""
A word for the backend's own record of a job: Kubernetes shows the text of its termination message with the pod.

It helps where there is no ``error.json``, as in a job that cannot read its context. SageMaker takes nothing else of a
job that failed without a client of S3: there the word ends with the error's main parts, as JSON behind a mark.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Sequence, cast  # noqa: UP035  (Python 3.9)

if TYPE_CHECKING:
    from .protocol import StepError

MAX_BYTES = 1024
"""Kubernetes takes 4 KiB of a container and 12 KiB of a pod; SageMaker's exit message has 1 KiB."""
_SHORTEST_LINE = 8
"""A line of a secret of several lines, as a key's, is taken for a secret from this length on."""


MARK = " ::mlx-error::"
_SPOKEN_BYTES = 300
"""Of the word that people read, where an error follows it."""
_MESSAGE_CHARACTERS = 200
_FRAMES = 3


def write_word(path: Path, text: str, secrets: Sequence[str], *, error: Path | None = None) -> None:
    """
    Write the job's last word.

    :param secrets: names of environment variables whose values must not appear.
    :param error: an ``error.json`` that is to be said too.
    """
    word = one_line(text, secrets, os.environ)
    if error is not None and error.is_file():
        word = with_error(word, one_line(brief(json.loads(error.read_bytes())), secrets, os.environ))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(word)
    except OSError as problem:
        print(f"mlx: {path} was not written: {problem}", flush=True)


def with_error(word: str, said: str) -> str:
    """Both in :data:`MAX_BYTES`, some of which the backend needs itself."""
    word = word.encode("utf-8", "replace")[:_SPOKEN_BYTES].decode("utf-8", "ignore")
    whole = f"{word}{MARK}{said}"
    return whole if len(whole.encode()) <= MAX_BYTES - 100 else word


def brief(error: StepError) -> str:
    """What matters of an error, as JSON of ASCII characters; the user's own last frames only."""
    frames = [frame for frame in error.get("frames", ()) if frame.get("user")] or error.get("frames", [])
    said = {
        "reason": error.get("reason", ""),
        "type": str(error.get("type", ""))[:80],
        "message": str(error.get("message", ""))[:_MESSAGE_CHARACTERS],
        "exit_code": error.get("exit_code"),
        "at": [[one.get("file"), one.get("line"), one.get("function")] for one in frames[-_FRAMES:]],
    }
    return json.dumps(said, separators=(",", ":"))


def error_of(word: str) -> StepError | None:
    """The error that a word ends with, as far as it was said; ``None`` where it ends with none."""
    try:
        said, _ = json.JSONDecoder().raw_decode(word.partition(MARK)[2])  # the backend's own words follow
        frames = [{"file": file, "line": line, "function": function, "user": True, "text": ""}
                  for file, line, function in said["at"]]  # fmt: skip
        return cast(
            "StepError",
            {**{key: said[key] for key in ("reason", "type", "message", "exit_code")}, "frames": frames},
        )
    except (ValueError, KeyError, TypeError):
        return None


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
