"""One table of commands for both command lines, and for the reference page."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from airflow_provider_mlx.cli.commands import COMMANDS
from airflow_provider_mlx.cli.main import load, parser

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "commands.md"


def actions(name: str) -> dict[str, argparse.Action]:
    """A command's arguments as argparse has them, by their longest spelling."""
    (subparsers,) = (item for item in parser()._actions if isinstance(item, argparse._SubParsersAction))
    found = subparsers.choices[name]._actions
    return {
        max(action.option_strings, key=len, default=action.dest): action for action in found if action.dest != "help"
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_what_a_row_names_exists(command):
    assert callable(load(command))


def test_airflows_own_command_line_has_the_same_arguments():
    from airflow_provider_mlx.cli.airflow_commands import get_commands

    (group,) = get_commands()
    assert group.name == "mlx"
    theirs = {}
    for command in group.subcommands:
        one = argparse.ArgumentParser()
        for argument in command.args:
            argument.add_to_parser(one)
        theirs[command.name] = {action.dest: (action.default, action.type) for action in one._actions[1:]}
    ours = {
        command.name: {action.dest: (action.default, action.type) for action in actions(command.name).values()}
        for command in COMMANDS
    }
    assert theirs == ours


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_reference_page_has_every_argument_and_its_meaning(command):
    text = _PAGE.read_text(encoding="utf-8")
    section = text.partition(f"\n## {command.name}\n")[2].partition("\n## ")[0]
    assert command.description in section
    for name, action in actions(command.name).items():
        assert f"`{name}" in section, f"{command.name} {name} is not on the page"
        assert action.help.replace("|", "\\|") in section


def test_the_reference_page_has_no_command_that_is_none():
    headings = [line[3:] for line in _PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert headings == [command.name for command in COMMANDS]
