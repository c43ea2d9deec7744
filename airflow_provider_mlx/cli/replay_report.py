"""What a replay says at its end: the result, or the failure with the DAG file's line. Pure, but for reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_mlx.jobs.failures import from_error
from airflow_provider_mlx.runtime.addresses import file_path
from airflow_provider_mlx.runtime.protocol import ERROR_FILE, RESULT_FILE

from .output import Answer
from .recorded import Recorded
from .replay_context import Folders

_SHOWN: int = 2000


def report(recorded: Recorded, folders: Folders, *, exit_code: int, dag_file: Path | None) -> Answer:
    """
    The end of a replay.

    :param exit_code: of the job's command, for jobs that left no file.
    """
    result, error = _read(folders.outputs / RESULT_FILE), _read(folders.outputs / ERROR_FILE)
    if result is not None:
        return Answer("\n".join(["", *of_result(result), *compared(recorded, "result")]))
    if error is None:
        return Answer(f"\nthe replay ended with exit status {exit_code} and left neither result nor error", 1)
    error = with_user_frames(error, dag_file)
    failure = from_error(error, job=f"a replay of {recorded.identity} · attempt {recorded.record.attempt}",
                         attempt=recorded.record.attempt, url=None)  # fmt: skip
    if error.get("type") not in (None, error.get("reason")):  # the user's own code, and no refusal of the runtime
        failure.remedy = (
            "correct the DAG file and run the same line with `--code working-tree`; `--debug` opens pdb at this line"
        )
    return Answer("\n".join(["", f"{failure.reason}: {failure}", *compared(recorded, _kind(error))]), 1)


def has_artifacts(folders: Folders) -> bool:
    """Whether a result lies in a file that somebody may want to look at."""
    outputs = (_read(folders.outputs / RESULT_FILE) or {}).get("outputs") or {}
    return any(not output.get("inline") for output in outputs.values())


def of_result(result: Mapping[str, Any]) -> list[str]:
    """A result's outputs, metrics and time, a line each."""
    if result.get("skipped") is not None:
        return [f"the step was skipped: {result['skipped']}"]
    lines = ["the step succeeded"]
    for name, output in (result.get("outputs") or {}).items():
        if output.get("inline"):
            text = json.dumps(output.get("value"), ensure_ascii=False)
            lines.append(f"  {name} = {text if len(text) <= _SHOWN else text[:_SHOWN] + ' …'}")
        else:
            artifact = output.get("artifact") or {}
            lines.append(f"  {name}: {artifact.get('type')} in {file_path(str(artifact.get('uri')))}")
    lines += [f"  metric {name} = {value}" for name, value in (result.get("metrics") or {}).items()]
    seconds = (result.get("timings") or {}).get("compute")
    return [*lines, *([f"  {seconds:.1f} s in the step's own code"] if isinstance(seconds, float) else [])]


def compared(recorded: Recorded, now: str) -> list[str]:
    """The recorded outcome beside this one."""
    before = recorded.outcome
    if before is None:
        return ["recorded: the attempt left neither result nor error"]
    then = "result" if "outputs" in before else _kind(before)
    said = {"result": "a result"}.get(then, then)
    return [f"recorded: {said}" + ("" if then != now else ", as here")]


def with_user_frames(error: Mapping[str, Any], dag_file: Path | None) -> dict[str, Any]:
    """Under the debugger the slice has the DAG file's own path, which the runtime does not know for the user's."""
    frames = [
        {**frame, "user": frame.get("user") or (dag_file is not None and frame.get("file") == str(dag_file))}
        for frame in error.get("frames") or ()
    ]
    return {**error, "frames": frames}


def _kind(error: Mapping[str, Any]) -> str:
    return str(error.get("type") or error.get("reason"))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found if isinstance(found, dict) else None
