"""Commands inside tasks, as ``dags_examples/mlx_maintenance.py`` schedules them."""

from __future__ import annotations

from airflow_provider_mlx.exceptions import MlxError

from .main import load, parser


def run_in_task(name: str, *arguments: str) -> str:
    """
    Run a command in a task: its answer goes into the task's log, and is returned.

    :param arguments: as on the command line.
    :raises MlxError: the command failed, or something of it did; the log says what.
    """
    chosen = parser().parse_args([name, *arguments])
    answer = load(chosen.chosen)(chosen)
    print(answer.text)
    if answer.status:
        raise MlxError(f"`{name}` could not do all of it", remedy="the lines above say what and why")
    return answer.text
