"""``airflow mlx …``: the same commands inside Airflow's own command line (Airflow 3.2 and newer)."""

from __future__ import annotations

from typing import Any


def get_commands() -> list[Any]:
    """What ``provider_info.py`` hands to Airflow."""
    from airflow.cli import cli_config

    argument: Any = cli_config.Arg
    ActionCommand, GroupCommand = cli_config.ActionCommand, cli_config.GroupCommand  # noqa: N806
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
                        argument(("dag_id",), help="The DAG's id"),
                        argument(("task_id",), help="The step's task id"),
                        argument(("--stack",), help="Plan on this stack instead of the one that would be chosen"),
                        argument(("--conf",), help="A run's conf, as JSON; its params are used", default="{}"),
                        argument(("--map-index",), help="Index of a mapped task instance", type=int, default=-1),
                        argument(("--json",), help="Print one JSON object", action="store_true"),
                    ),
                )
            ],
        )
    ]


def _plan(arguments: Any) -> None:
    from airflow_provider_mlx.exceptions import MlxError

    from .output import logs_on_stderr
    from .plan import run_plan

    try:
        with logs_on_stderr():
            answer = run_plan(arguments)
    except MlxError as error:
        raise SystemExit(f"{error.reason}: {error}") from None
    print(answer)
