"""
From an exception to ``error.json``, in the lines of the user's own file.

A function is sliced out of its DAG file before it is shipped, so the lines that Python reports are the slice's; here
they become the DAG file's again, in the frames, in the printed traceback and in a ``SyntaxError``.
"""

from __future__ import annotations

import linecache
import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Sequence  # noqa: UP035  (Python 3.9)

from .protocol import Frame, Payload, StepError
from .refusals import Refusal

MAX_FRAMES = 64
_SEPARATORS = {
    "cause": "\nThe above exception was the direct cause of the following exception:\n\n",
    "context": "\nDuring handling of the above exception, another exception occurred:\n\n",
}


class LineMap:
    """
    Where the lines of the extracted source come from.

    :param source: the folder into which the bundle's source was extracted.
    :param runtime: what the paths of the runtime's own modules begin with.
    """

    def __init__(self, payload: Payload, source: Path, runtime: str) -> None:
        self._runs = [tuple(run) for run in payload.get("lines", ())]
        self._origin = payload.get("origin", "")
        self._source = os.path.realpath(source)
        self._runtime = runtime
        module = payload.get("module", "")
        self._slice = os.path.join(self._source, *module.split(".")) + ".py" if module else ""  # noqa: PTH118

    def locate(self, file: str, line: int) -> tuple[str, int, bool]:
        """File and line as the user knows them, and whether the file is the user's."""
        path = os.path.realpath(file)
        if self._origin and path == self._slice:
            for first, origin, count in self._runs:
                if first <= line < first + count:
                    return self._origin, origin + line - first, True
        if path.startswith(self._source + os.sep):
            return os.path.relpath(path, self._source), line, True
        return file, line, False

    def hidden(self, file: str) -> bool:
        """Whether a frame is ours or the import system's, which tells a reader nothing."""
        machinery = file.endswith(("importlib/__init__.py", "runpy.py")) or file == "<string>"
        return machinery or file.startswith((self._runtime, "<frozen "))

    def frames(self, trace: TracebackType | None) -> list[Frame]:
        """The frames of one exception, outermost first, at most the first 16 and the last 48."""
        found: list[Frame] = []
        for summary in traceback.extract_tb(trace):
            if self.hidden(summary.filename):
                continue
            line = summary.lineno or 0
            file, mapped, user = self.locate(summary.filename, line)
            text = linecache.getline(summary.filename, line).strip()
            found.append({"file": file, "line": mapped, "function": summary.name, "text": text[:500], "user": user})
        if len(found) > MAX_FRAMES:
            return [*found[: MAX_FRAMES // 4], *found[-(MAX_FRAMES - MAX_FRAMES // 4) :]]
        return found


def describe(error: BaseException, lines: LineMap) -> StepError:
    """Turn an exception into the part of ``error.json`` that is about it."""
    if isinstance(error, Refusal):
        return {
            "reason": error.reason,
            "type": error.reason,
            "message": error.what,
            "remedy": error.remedy,
            "frames": _frames_of_refusal(error, lines),
            "traceback": format_exception(error.__cause__, lines) if error.__cause__ else "",
            "rescued": error.rescued,
        }
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    frames = lines.frames(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        file, line, user = lines.locate(error.filename, error.lineno or 0)
        text = (error.text or "").strip()[:500]
        frames.append({"file": file, "line": line, "function": "<module>", "text": text, "user": user})
    return {
        "reason": "OutOfMemory" if isinstance(error, MemoryError) else "StepFailed",
        "type": name,
        "message": _message(error),
        "remedy": _remedy(error),
        "frames": frames,
        "traceback": format_exception(error, lines),
    }


def _frames_of_refusal(error: Refusal, lines: LineMap) -> list[Frame]:
    return lines.frames(error.__cause__.__traceback__) if error.__cause__ is not None else []


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # the user's own __str__ may raise
        return f"<the exception's text raises {type(broken).__name__}>"


def _remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"add {error.name.split('.')[0]!r} to requirements=, to the image, or, if it is your own, to include="
    if isinstance(error, ImportError) and error.name == "airflow_provider_mlx":
        return (
            "inside a job `airflow_provider_mlx` has Artifact, Dataset and current_step only: "
            "use the rest in the DAG file"
        )
    if isinstance(error, MemoryError):
        return "ask for more memory in resources=, or work in smaller pieces"
    return ""


def format_exception(error: BaseException, lines: LineMap) -> str:
    """The traceback as Python prints it, chains and groups included, with the user's files and lines."""
    return "".join(_chain(error, lines, set()))


def _chain(error: BaseException, lines: LineMap, seen: set[int]) -> list[str]:
    seen.add(id(error))
    parts: list[str] = []
    if error.__cause__ is not None and id(error.__cause__) not in seen:
        parts += [*_chain(error.__cause__, lines, seen), _SEPARATORS["cause"]]
    elif error.__context__ is not None and not error.__suppress_context__ and id(error.__context__) not in seen:
        parts += [*_chain(error.__context__, lines, seen), _SEPARATORS["context"]]
    frames = lines.frames(error.__traceback__)
    if frames:
        parts.append("Traceback (most recent call last):\n")
        parts += [
            f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}\n'
            + (f"    {frame['text']}\n" if frame["text"] else "")
            for frame in frames
        ]
    parts += _last_lines(error, lines)
    members = getattr(error, "exceptions", None)
    if isinstance(members, Sequence) and not isinstance(members, (str, bytes)):
        for member in members:
            if isinstance(member, BaseException) and id(member) not in seen:
                parts += [f"  | {line}\n" for text in _chain(member, lines, seen) for line in text.splitlines()]
    return parts


def _last_lines(error: BaseException, lines: LineMap) -> list[str]:
    try:
        text = traceback.format_exception_only(type(error), error)
    except Exception:
        return [f"{type(error).__qualname__}: {_message(error)}\n"]
    if isinstance(error, SyntaxError) and error.filename:
        file, line, _ = lines.locate(error.filename, error.lineno or 0)
        was = f'File "{error.filename}", line {error.lineno}'
        text = [part.replace(was, f'File "{file}", line {line}') for part in text]
    return text
