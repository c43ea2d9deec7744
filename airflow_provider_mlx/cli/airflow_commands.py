"""``airflow mlx …``: the same commands inside Airflow's own command line (Airflow 3.2 and newer)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .commands import COMMANDS, Command


def get_commands() -> list[Any]:
    """What ``provider_info.py`` hands to Airflow: the rows of ``commands.py`` as Airflow's own objects."""
    from airflow.cli import cli_config

    argument: Any = cli_config.Arg
    ActionCommand, GroupCommand = cli_config.ActionCommand, cli_config.GroupCommand  # noqa: N806
    return [
        GroupCommand(
            name="mlx",
            help="Machine-learning steps",
            subcommands=[
                ActionCommand(
                    name=command.name,
                    help=command.help[0].upper() + command.help[1:],
                    description=command.description,
                    func=_action(command),
                    args=tuple(argument(row.flags, help=row.help, **row.options) for row in command.arguments),
                )
                for command in COMMANDS
            ],
        )
    ]


def _action(command: Command) -> Callable[[Any], None]:
    def act(arguments: Any) -> None:
        from .main import run

        status = run(command, arguments)
        if status:
            raise SystemExit(status)

    return act
