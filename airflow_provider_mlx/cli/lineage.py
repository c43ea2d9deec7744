"""``lineage-replay``: the one place where the command line meets ``airflow_provider_mlx/lineage``."""

from __future__ import annotations

import argparse
from pathlib import Path

from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.settings import read_settings

from .output import Answer


def run_lineage_replay(arguments: argparse.Namespace) -> Answer:
    """Send what the spool holds."""
    from airflow_provider_mlx.lineage.provider import SPOOL_FOLDER, replay_spool

    folder = Path(arguments.folder) if arguments.folder else read_settings().local_root / SPOOL_FOLDER
    if arguments.folder and not folder.is_dir():
        raise JobMisconfigured(f"there is no folder {folder}", remedy="name the spool's folder with `--folder`")
    if not folder.is_dir():
        return Answer("there is no spool: nothing was left unsent")
    report = replay_spool(folder)
    said = f"sent {report.sent}, left {report.left}"
    if report.damaged:
        said += f", dropped {report.damaged} damaged lines"
    return Answer(said + (f": {report.problem}" if report.problem else ""), int(bool(report.left)))
