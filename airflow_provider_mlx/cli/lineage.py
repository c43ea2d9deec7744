"""``lineage-replay``: the one place where the command line meets ``airflow_provider_mlx/lineage``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_mlx.exceptions import JobMisconfigured, MlxError, first_line
from airflow_provider_mlx.settings import read_settings

from .output import Answer
from .places import places, scene_of


def run_lineage_replay(arguments: argparse.Namespace) -> Answer:
    """Send what waits on this machine and in the artifact roots."""
    from airflow_provider_mlx.lineage.provider import replay_spools
    from airflow_provider_mlx.lineage.root_spool import RootSpool
    from airflow_provider_mlx.lineage.spool import Spool

    unread: list[str] = []

    def roots() -> Iterator[RootSpool]:
        scene = scene_of(None)
        for place in places(scene, arguments):
            try:
                store = place.open()
            except MlxError as error:
                unread.append(f"{place.artifacts.root} ({place.why}) cannot be opened: {first_line(error)}")
                continue
            yield RootSpool(store, place.artifacts.root, arguments.deployment or scene.deployment)

    found = [Spool(_folder(arguments.folder)), *(() if arguments.folder else roots())]
    report = replay_spools(found)
    said = f"sent {report.sent}, left {report.left}"
    if report.damaged:
        said += f", dropped {report.damaged} damaged lines"
    said += f": {report.problem}" if report.problem else ""
    return Answer("\n".join([said, *unread]), int(bool(report.left or report.problem or unread)))


def _folder(given: str | None) -> Path:
    from airflow_provider_mlx.lineage.provider import SPOOL_FOLDER

    if given and not Path(given).is_dir():
        raise JobMisconfigured(f"there is no folder {given}", remedy="name the spool's folder with `--folder`")
    return Path(given) if given else read_settings().local_root / SPOOL_FOLDER
