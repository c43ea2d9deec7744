"""The command line: arguments in, text and exit status out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_mlx.exceptions import MlxError

from .output import logs_on_stderr


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="python -m airflow_provider_mlx", description="Machine-learning steps for Apache Airflow."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    plan = commands.add_parser(
        "plan",
        help="print what would be submitted for a step, and why",
        description="Print what would be submitted for a step, and why each choice was made. Opens no connection.",
    )
    plan.add_argument("dag_id")
    plan.add_argument("task_id")
    plan.add_argument("--stack", help="plan on this stack instead of the one that would be chosen")
    plan.add_argument("--conf", default="{}", help="a run's conf, as JSON; its params are used")
    plan.add_argument("--map-index", type=int, default=-1, help="index of a mapped task instance")
    plan.add_argument("--json", action="store_true", help="print one JSON object")
    plan.set_defaults(run=_plan)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 is success, 1 a refusal (its sentence is on standard error), 2 a wrong command line."""
    chosen = parser().parse_args(arguments)
    try:
        with logs_on_stderr():
            answer = chosen.run(chosen)
    except MlxError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)
        return 1
    print(answer)
    return 0


def _plan(chosen: argparse.Namespace) -> str:
    from .plan import run_plan  # imports Airflow, which may log at once

    return run_plan(chosen)
