"""The command line: arguments in, text and exit status out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_mlx.exceptions import MlxError

from .output import logs_on_stderr
from .plan import add_plan_arguments, run_plan


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="python -m airflow_provider_mlx", description="Machine-learning steps for Apache Airflow."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    plan = commands.add_parser(
        "plan", help="print what would be submitted for a step, and why", description=run_plan.__doc__
    )
    add_plan_arguments(plan)
    plan.set_defaults(run=run_plan)
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
