"""
The step on a node with torch's own launcher: one process per GPU, each with a supervisor of its own.

::

    supervisor of the node (main.py)
      └ torch.distributed.run          rendezvous with the other nodes, RANK, WORLD_SIZE, LOCAL_RANK, …
          ├ supervisor of a rank       work/ranks/0/…: its process ids, its outcome
          │   └ the user's code
          └ supervisor of a rank       work/ranks/1/…
              └ the user's code

A rank's supervisor is what the launcher starts and sees end, so that a rank which is killed is spoken for. Signals go
to the ranks and not to the launcher: it would give them 30 s and kill them, whatever the grace is.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence  # noqa: UP035  (Python 3.9)

from .causes import first_cause
from .guard import Forked, Guard, kill_group
from .protocol import (
    CHECKPOINTS_FOLDER,
    CONTEXT_FILE,
    EXIT_CANCELLED,
    EXIT_MISCONFIGURED,
    EXIT_OK,
    EXIT_STEP_FAILED,
    PEER,
)
from .rank_supervisor import RankSupervisor
from .records import Outcome, Recorder
from .refusals import JobMisconfigured, StepFailed

if TYPE_CHECKING:
    from .forking import ForkedProcess
    from .protocol import StepContext
    from .ranks import Place

RENDEZVOUS_SECONDS = 1800
"""How long a node waits for the others, whose images may still be pulled; ``MLX_RENDEZVOUS_SECONDS`` says otherwise."""
RANKS_FOLDER = "ranks"
SUPERVISOR, CODE = "supervisor-", "code-"
"""Files whose names end with a process id: who supervises the rank, and who runs its code, while they live."""
LAST_WORDS_SECONDS = 8.0
"""When a rank's grace is over, its supervisor kills it, writes its error and stores what it can: the node waits."""

# What `python -m torch.distributed.run` does, without the forty lines in which it repeats that a rank has failed: the
# rank has said so itself. The empty entry of `sys.path` is the current folder, as in `child_command.py`.
_LAUNCHER = (
    "import sys\n"
    "sys.path[:]=[p for p in sys.path if p]\n"
    "from torch.distributed.run import main\n"
    "from torch.distributed.elastic.multiprocessing.errors import ChildFailedError\n"
    "try:main()\n"
    "except ChildFailedError:sys.exit(1)"
)
_RANK = (
    "import sys\n"
    "sys.path[:]=[sys.argv[1]]+[p for p in sys.path if p]\n"
    "from airflow_provider_mlx.runtime.torchrun import main\n"
    "main()"
)
_HAS_TORCH = "import importlib.util,sys\nsys.exit(importlib.util.find_spec('torch') is None)"

_OF_A_RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The launcher sets these; what a backend has set under these names means something else."""

_STATUS = {"JobMisconfigured": EXIT_MISCONFIGURED, "JobCancelled": EXIT_CANCELLED}


class Ranks:
    """
    The ranks of a node, as their folders tell of them.

    :param work: the node's work folder.
    """

    def __init__(self, work: Path) -> None:
        self._folder = work / RANKS_FOLDER
        self._folder.mkdir(exist_ok=True)

    def tell(self, number: int) -> bool:
        """Pass a signal on to their supervisors; whether there were any."""
        pids = self._pids(SUPERVISOR)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)

    def kill(self) -> None:
        """End all of them and their code: neither is in the launcher's process group."""
        for pid in (*self._pids(SUPERVISOR), *self._pids(CODE)):
            kill_group(pid)

    def first_error(self) -> Outcome | None:
        """The error from which those of this node follow, if there is one."""
        outcomes = [outcome for folder in self._folder.iterdir() if (outcome := Outcome.read(folder)) is not None]
        by_name = {outcome.name: outcome for outcome in outcomes if outcome.reason}
        first = first_cause(by_name)
        return None if first is None else by_name[first]

    def _pids(self, kind: str) -> list[int]:
        return [int(path.name[len(kind) :]) for path in self._folder.glob(f"*/{kind}*")]


class RankGuard(Guard):
    """Leaves word of the processes of a rank in its folder, for the node's supervisor."""

    def listen(self) -> None:
        """Take signals from here on, so that they may be sent."""
        super().listen()
        (self._work / f"{SUPERVISOR}{os.getpid()}").touch()

    def fork(self, folder: Path) -> ForkedProcess:
        """Start the code, and note it."""
        process = super().fork(folder)
        self._code(process.pid).touch()
        return process

    def spawn(self, command: Sequence[str], env: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
        """Start the code, and note it."""
        process = super().spawn(command, env, **options)
        self._code(process.pid).touch()
        return process

    def wait(self) -> int:
        """Wait for the code's end, and forget it: its number may become another process's."""
        returned = super().wait()
        assert self.process is not None
        self._code(self.process.pid).unlink()
        return returned

    def end(self) -> None:
        """All is said, and there is nobody to tell any more."""
        super().end()
        (self._work / f"{SUPERVISOR}{os.getpid()}").unlink()

    def _code(self, pid: int) -> Path:
        return self._work / f"{CODE}{pid}"


def run_ranks(
    context: StepContext, place: Place, python: str, bundle: Path, work: Path, guard: Guard, recorder: Recorder
) -> int:
    """
    Have the launcher run the step's ranks on this node, and wait for their end; the exit status, from ``protocol.py``.

    :param python: the interpreter that has what the step requires.
    :raises Refusal: there is no launcher, or it could not start the ranks.
    """
    if subprocess.run([python, "-c", _HAS_TORCH], check=False).returncode != 0:
        raise JobMisconfigured(
            'the step asks for launcher="torchrun", and there is no torch in its environment',
            "take an image with PyTorch, add `torch` to requirements=, or leave launcher out",
        )
    guard.check_cancelled()
    guard.others, guard.late_seconds = (ranks := Ranks(work)), LAST_WORDS_SECONDS
    rank_command = [python, "-c", _RANK, str(bundle), str(work), json.dumps(recorder.timings)]
    command = launcher_command(python, place, context["step"]["job"], work / "launcher-logs", rank_command)
    # Not in `source`: what the launcher imports must not be found among the user's files.
    guard.spawn(command, _launcher_environment(place), cwd=work)
    returned = guard.wait()
    error = ranks.first_error()
    if error is not None:
        error.write(work)
        return EXIT_CANCELLED if guard.cancelled else _STATUS.get(error.reason, EXIT_STEP_FAILED)
    if returned != 0:
        guard.check_cancelled()
        raise _LauncherFailed(
            f"torch's launcher ended with exit status {returned} before a rank had said why",
            f"its own words are in the log above; all nodes must reach {place.master_addr}:{place.master_port}",
        )
    Outcome("", "result").write(work)
    return EXIT_OK


class _LauncherFailed(StepFailed):
    follows = PEER

    @property
    def reason(self) -> str:
        return "StepFailed"


def launcher_command(python: str, place: Place, job: str, logs: Path, rank_command: Sequence[str]) -> list[str]:
    """
    The launcher's arguments, as ``python -m torch.distributed.run`` takes them.

    Underscores, since releases before 2.0 know no other spelling. A rank that fails ends the others of its node, and
    nothing is started again: that is a new attempt's to do.

    :param logs: folder for files of the launcher's own; the ranks' lines do not go there.
    """
    seconds = os.environ.get("MLX_RENDEZVOUS_SECONDS") or str(RENDEZVOUS_SECONDS)
    return [
        python, "-c", _LAUNCHER,
        "--nnodes", str(place.nodes), "--node_rank", str(place.node_rank), "--nproc_per_node", place.processes,
        "--master_addr", place.master_addr, "--master_port", str(place.master_port),
        "--rdzv_backend", "static", "--rdzv_id", job, "--rdzv_conf", f"timeout={seconds}",
        "--max_restarts", "0", "--monitor_interval", "0.5", "--log_dir", str(logs),
        "--no_python", *rank_command,
    ]  # fmt: skip


def _launcher_environment(place: Place) -> dict[str, str]:
    # PET_… are defaults of the launcher's own options: what a Trainer has set there was read already.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PET_") and name not in _OF_A_RANK}
    return {**own, "NODE_RANK": str(place.node_rank), "PYTHONUNBUFFERED": "1"}


# --- in the process that the launcher starts --------------------------------------------------------------------------


def main() -> None:
    """Supervise one rank: ``sys.argv`` is bundle, the node's work folder and its timings as JSON. Never returns."""
    from .installed_client import use_client
    from .member import member_of
    from .store import Store
    from .streams import stream_of

    bundle, node, timings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    use_client(node)
    work = rank_folder(node, os.environ["LOCAL_RANK"])
    context: StepContext = json.loads((work / CONTEXT_FILE).read_bytes())
    guard = RankGuard(work, say=lambda text: None)  # the node's supervisor says it
    member = member_of(context, os.environ)
    sys.stdout = stream_of(member, 1)
    guard.keep(context)
    guard.listen()
    store = Store(context.get("store", {}), scratch=work)
    recorder = Recorder(context, store, work, member)
    recorder.timings.update(timings)
    try:
        sys.exit(RankSupervisor(context, Path(bundle), work, store, recorder, guard).run(sys.executable))
    except Forked:
        pass  # this is the child now: it leaves the supervisor's frames first
    finally:
        if not guard.forked:
            guard.end()
    from .child import run_child

    run_child(bundle, work, recorder.timings)


def rank_folder(node: Path, local_rank: str) -> Path:
    """
    The work folder of one rank: its own but for the source, and for the checkpoints, which a node's ranks share.

    Frameworks write a checkpoint in parts, each rank its own, into one folder.
    """
    folder = node / RANKS_FOLDER / local_rank
    folder.mkdir()
    (node / CHECKPOINTS_FOLDER).mkdir(exist_ok=True)
    for name in (CONTEXT_FILE, "source", CHECKPOINTS_FOLDER):
        (folder / name).symlink_to(node / name)
    return folder
