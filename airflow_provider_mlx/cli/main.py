"""The command line: arguments in, text and exit status out."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_mlx.exceptions import MlxError

from .commands import COMMANDS, Command
from .output import Answer, logs_on_stderr

INTERRUPTED = 130
"""128 + SIGINT, as a shell says it."""


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="python -m airflow_provider_mlx", description="Machine-learning steps for Apache Airflow."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.help, description=command.description)
        for argument in command.arguments:
            one.add_argument(*argument.flags, help=argument.help, **argument.options)
        one.set_defaults(chosen=command)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 is success, 1 a refusal (its sentence is on standard error), 2 a wrong command line."""
    chosen = parser().parse_args(arguments)
    return run(chosen.chosen, chosen)


def run(command: Command, chosen: argparse.Namespace) -> int:
    """Run a row of the table with its parsed arguments; the exit status."""
    try:
        with logs_on_stderr():
            act = load(command)
            answer = None if command.live else act(chosen)
        if answer is None:
            answer = act(chosen)
    except MlxError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    if answer.text:
        print(answer.text)
    return answer.status


def load(command: Command) -> Callable[[argparse.Namespace], Answer]:
    """The function of a command."""
    module, _, name = command.run.partition(":")
    act: Callable[[argparse.Namespace], Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)

    def answer(chosen: argparse.Namespace) -> Answer:
        said = act(chosen)
        return said if isinstance(said, Answer) else Answer(str(said))

    return answer
