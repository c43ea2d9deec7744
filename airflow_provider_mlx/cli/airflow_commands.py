"""``airflow mlx …``: the same commands inside Airflow's own command line (Airflow 3.2 and newer)."""

from __future__ import annotations

from typing import Any


def get_commands() -> list[Any]:
    """What ``provider_info.py`` hands to Airflow."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    return [
        GroupCommand(
            name="mlx",
            help="Machine-learning steps",
            subcommands=[
                ActionCommand(
                    name="plan",
                    help="Print what would be submitted for a step, and why",
                    func=_plan,
                    args=(
                        Arg(("dag_id",), help="The DAG's id"),
                        Arg(("task_id",), help="The step's task id"),
                        Arg(("--stack",), help="Plan on this stack instead of the one that would be chosen"),
                        Arg(("--conf",), help="A run's conf, as JSON; its params are used", default="{}"),
                        Arg(("--map-index",), help="Index of a mapped task instance", type=int, default=-1),
                        Arg(("--json",), help="Print one JSON object", action="store_true"),
                    ),
                )
            ],
        )
    ]


def _plan(arguments: Any) -> None:
    from ..exceptions import MlxError
    from .plan import run_plan

    try:
        print(run_plan(arguments))
    except MlxError as error:
        raise SystemExit(f"{error.reason}: {error}") from None
