"""
Runs one step in this terminal, and opens pdb where it fails.

A program of its own, started by ``replay --debug`` in the step's interpreter: standard library, Python 3.9, and the
runtime of the bundle that it is told of. The slice is compiled under the DAG file's name and lines where that file
stands unchanged, so that pdb shows it, and its breakpoints are the DAG file's.
"""

from __future__ import annotations

import ast
import json
import os
import pdb
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, cast  # noqa: UP035  (Python 3.9)


def main() -> None:
    """Run the step that ``sys.argv[1]`` describes; the exit status is the runtime's."""
    orders = json.loads(Path(sys.argv[1]).read_text())
    sys.path[0] = orders["bundle"]  # instead of this file's folder, whose names would hide the user's
    context = json.loads(Path(orders["context"]).read_text())
    work = Path(orders["work"])
    if sys.argv[2:] != ["prepared"]:
        prepare(context, work, Path(orders["bundle"]))
    if orders["dag_file"]:
        show_dag_file(orders, work / "source")
    os.chdir(work / "source")
    run(context, orders, work)


def prepare(context: Dict[str, Any], work: Path, bundle: Path) -> None:  # noqa: UP006
    """Unpack the source and install the requirements; go on in the interpreter that has them."""
    from airflow_provider_mlx.runtime.environment import prepare_environment
    from airflow_provider_mlx.runtime.extraction import extract_source
    from airflow_provider_mlx.runtime.refusals import Refusal
    from airflow_provider_mlx.runtime.store import Store

    work.mkdir()
    (work / "context.json").write_text(json.dumps(context))
    try:
        extract_source(bundle, work)
        wanted = context.get("environment", {})
        access, python = context.get("store", {}), sys.executable
        if wanted.get("requirements"):
            allowed = access.get("allowed", ())
            python = prepare_environment(wanted, work, install, store=Store(access, work), allowed=allowed)
    except Refusal as refusal:
        print(f"mlx: {refusal.reason}: {refusal.what}\n→ {refusal.remedy}")
        sys.exit(refusal.exit_status)
    if python != sys.executable:
        sys.stdout.flush()
        os.execv(python, [python, __file__, sys.argv[1], "prepared"])  # noqa: S606


def install(command: Sequence[str], env: Dict[str, str]) -> Tuple[int, List[str]]:  # noqa: UP006
    """Run an installer; its exit status and its last lines."""
    done = subprocess.run(
        list(command), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()[-20:]


def run(context: Dict[str, Any], orders: Dict[str, Any], work: Path) -> None:  # noqa: UP006
    """The runtime's own child, in this process; a failure is recorded and printed first, then looked at."""
    from airflow_provider_mlx.runtime.child import Child
    from airflow_provider_mlx.runtime.step import StepCancelled

    class DebuggedChild(Child):
        def _fail(self, error: BaseException) -> int:
            status = super()._fail(error)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            if not isinstance(error, (StepCancelled, KeyboardInterrupt)):
                look_at(error, is_user_file(orders["dag_file"], work / "source"), orders["bundle"])
            return status

    sys.exit(DebuggedChild(cast("Any", context), Path(orders["bundle"]), work, cast("Any", {})).run())


def is_user_file(dag_file: str, source: Path) -> Callable[[str], bool]:
    """Whether a file is the user's: the DAG file, or one that travelled with the step."""
    inside = os.path.realpath(source) + os.sep
    return lambda file: (bool(dag_file) and file == dag_file) or os.path.realpath(file).startswith(inside)


def look_at(error: BaseException, is_users: Callable[[str], bool], bundle: str) -> None:
    """Open pdb at the last line of the user's in a traceback; deeper frames are `down` from there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith((bundle, __file__, "<frozen ")):
        trace = trace.tb_next
    cause = error.__cause__
    if trace is None and cause is not None:
        look_at(cause, is_users, bundle)
        return
    if trace is None:
        print("mlx: there is no line of the step's to look at", flush=True)
        return
    debugger = pdb.Pdb()
    debugger.reset()
    deeper = frames_below(trace, is_users)
    if deeper:
        debugger.cmdqueue.append(f"up {deeper}")
    debugger.interaction(None, trace)


def frames_below(trace: Optional[TracebackType], is_users: Callable[[str], bool]) -> int:  # noqa: UP045
    """How many frames lie below the user's last one; 0 if none of them is the user's."""
    files = []
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    for below, file in enumerate(reversed(files)):
        if is_users(file):
            return below
    return 0


# --- the DAG file's lines --------------------------------------------------------------------------------------------


def show_dag_file(orders: Dict[str, Any], source: Path) -> None:  # noqa: UP006
    """Have the slice imported under the name and lines of its DAG file."""
    module, path = orders["module"], source / f"{orders['module']}.py"

    class Loader(SourceFileLoader):
        def get_code(self, fullname: str) -> CodeType:
            return as_in_dag_file(self.get_data(str(path)).decode(), orders["lines"], orders["dag_file"])

    class Finder:
        @staticmethod
        def find_spec(name: str, path_: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: UP045
            return spec_from_file_location(name, path, loader=Loader(name, str(path))) if name == module else None

    sys.meta_path.insert(0, cast("Any", Finder))


def as_in_dag_file(text: str, runs: Sequence[Sequence[int]], dag_file: str) -> CodeType:
    """
    Compile a slice so that every line of it is the DAG file's; lines of our own become its first.

    Columns stay as they are: statements keep their exact text in a slice.
    """
    there = {first + step: origin + step for first, origin, count in runs for step in range(count)}
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in ("lineno", "end_lineno"):
            number = getattr(node, name, None)
            if number is not None:
                setattr(node, name, there.get(number, 1))
    return compile(tree, dag_file, "exec", dont_inherit=True)


if __name__ == "__main__":
    main()
