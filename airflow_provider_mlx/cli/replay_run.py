"""Runs what a replay has put together: the job's own command, or the same step under pdb in this terminal."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.jobs.logs import readable
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.step.bundle import SLICE_MODULE, SOURCE_FOLDER, build_bundle, runtime_files

from . import debug_driver
from .replay_context import Folders

_OURS: Final = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV")
"""What begins so is about this Airflow and its interpreter, and would change what the step sees."""


@dataclass(frozen=True)
class Staged:
    """
    Everything that a replay runs.

    :param dag_file: the DAG file as it stands here, where its lines are those of the step's slice.
    """

    folders: Folders
    bundle: bytes
    context: Mapping[str, Any]
    python: str
    env: Mapping[str, str]
    debug: bool
    dag_file: Path | None


def environment(further: Mapping[str, str]) -> dict[str, str]:
    """The terminal's own environment without what is Airflow's, and what the target and the step set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**own, **further, "PYTHONUNBUFFERED": "1"}


def dag_file_of(root: str | None, payload: Mapping[str, Any], bundle: bytes) -> Path | None:
    """The DAG file that a slice was cut from, if it is here and has the slice's lines where the map says."""
    if root is None or not payload.get("origin"):
        return None
    path = Path(root) / payload["origin"]
    text = source_files(bundle).get(f"{SOURCE_FOLDER}/{SLICE_MODULE}.py", b"").decode()
    try:
        there = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return path if same_lines(text.split("\n"), there.split("\n"), payload.get("lines", ())) else None


def same_lines(slice_lines: list[str], dag_lines: list[str], runs: Any) -> bool:
    """Whether every line of the slice that is the DAG file's stands there today."""
    pairs = [(here + step - 1, there + step - 1) for here, there, count in runs for step in range(count)]
    return bool(pairs) and all(
        there < len(dag_lines) and here < len(slice_lines) and slice_lines[here].strip() == dag_lines[there].strip()
        for here, there in pairs
    )


def source_files(bundle: bytes) -> dict[str, bytes]:
    """The user's files in a bundle, by their names in it."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{SOURCE_FOLDER}/") and not name.endswith("/")
        }


def debuggable(staged: Staged) -> Staged:
    """The same with this release's runtime, which the debugger's driver knows from inside."""
    return replace(staged, bundle=build_bundle({**runtime_files(), **source_files(staged.bundle)}).data)


def run_staged(staged: Staged, *, show: Callable[[str], None]) -> int:
    """
    Run the step and wait for its end; the exit status, from ``runtime/protocol.py``.

    :param show: prints one line of the job's log.
    """
    work = staged.folders.work
    bundle, context = work / "bundle.zip", work / "context.json"
    data = json.dumps(staged.context, indent=1, sort_keys=True).encode()
    bundle.write_bytes(staged.bundle)
    context.write_bytes(data)
    staged.folders.outputs.mkdir(exist_ok=True)
    if staged.debug:
        return _in_this_terminal(staged, bundle, context)
    command = bootstrap_command(
        python=staged.python, bundle_path=str(bundle), bundle_sha256=hashlib.sha256(staged.bundle).hexdigest(),
        context=str(context), context_sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    return _live(command, staged, show)


def _live(command: list[str], staged: Staged, show: Callable[[str], None]) -> int:
    """The job's command, its output line by line; Ctrl-C is the job's to handle, and then ours to wait for."""
    process = subprocess.Popen(
        command, env=dict(staged.env), cwd=staged.folders.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    while True:
        try:
            line = next(lines, None)
            if line is None:
                return process.wait()
            text = readable(line, staged.context["nonce"])
            if text is not None:
                show(text)
        except KeyboardInterrupt:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def _in_this_terminal(staged: Staged, bundle: Path, context: Path) -> int:
    """The step in a process that has this terminal, so that pdb can ask; Ctrl-C is that process's alone."""
    payload = staged.context["payload"]
    orders = {
        "bundle": str(bundle),
        "context": str(context),
        "work": str(staged.folders.work / "run"),
        "dag_file": str(staged.dag_file) if staged.dag_file else "",
        "lines": payload.get("lines", []),
        "module": payload.get("module", ""),
    }
    file = staged.folders.work / "debug.json"
    file.write_text(json.dumps(orders))
    sys.stdout.flush()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(
            [staged.python, str(Path(debug_driver.__file__)), str(file)], env=dict(staged.env),
            cwd=staged.folders.work, check=False, preexec_fn=_interruptible,
        ).returncode  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
