"""Which of a job's processes this one is; ``ranks.py`` has where the answer comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping, NamedTuple  # noqa: UP035  (Python 3.9)

from .protocol import NO_LAUNCHER

if TYPE_CHECKING:
    from .protocol import StepContext


class Member(NamedTuple):
    """
    Which of a job's processes this is; as it stands, the only one of a job that has no others.

    :param gang: whether the job has several nodes or was started by torchrun.
    :param several: whether others run on the same node, and write to the same log.
    :param rank: None for the supervisor of a node on which torchrun starts the ranks.
    """

    gang: bool = False
    node: int = 0
    rank: int | None = 0
    several: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, whose result is the job's."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """As errors are named: ``rank3``, ``node1``."""
        return f"node{self.node}" if self.rank is None else f"rank{self.rank}"


def is_gang(context: Mapping[str, object]) -> bool:
    """Whether a job has several nodes, or processes that torchrun starts."""
    return context.get("nodes", 1) != 1 or context.get("launcher", NO_LAUNCHER) != NO_LAUNCHER


def member_of(context: StepContext, env: Mapping[str, str]) -> Member:
    """Which of the job's processes this one is, as its supervisor or torchrun has told it."""
    if not is_gang(context):
        return Member()
    return Member(True, int(env["NODE_RANK"]), int(env["RANK"]), several=env["LOCAL_WORLD_SIZE"] != "1")
