"""
A store's client for an image that has none, installed before the context can be read.

The stack allows it (``install_client``), and its backend then names the requirement in ``MLX_INSTALL_CLIENT``. It goes
into a folder of the job: neither into the image nor into the step's venv. It stands last on ``sys.path``, so that
whatever else the step has comes first.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .addresses import split_uri
from .clients import CLIENTS
from .protocol import CLIENT_FOLDER
from .refusals import JobMisconfigured

if TYPE_CHECKING:
    from .building import Run

VARIABLE = "MLX_INSTALL_CLIENT"


def needs_client(uri: str) -> bool:
    """Whether a URI is of a store for which this interpreter has no client, and one may be installed."""
    if not os.environ.get(VARIABLE) or "://" not in uri:
        return False
    rows = CLIENTS.get(split_uri(uri)[0], ())
    return bool(rows) and not any(row.importable for row in rows)


def install_client(uri: str, work: Path, run: Run) -> None:
    """
    Install what ``MLX_INSTALL_CLIENT`` names, with the image's uv or pip.

    :param uri: for which it is needed.
    :raises JobMisconfigured: there is no installer, it failed, or what it installed is no client for this store.
    """
    from .building import installer_environment
    from .environment import find_uv
    from .uris import without_credentials

    wanted, folder = os.environ[VARIABLE], work / CLIENT_FOLDER
    print(f"mlx: the image has no client for {uri.partition('://')[0]}://, {wanted} is installed", flush=True)
    uv = find_uv()
    if uv:
        command = [*uv, "pip", "install", "--python", sys.executable, "--target", str(folder), wanted]
    elif importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--target", str(folder), wanted]
    else:
        raise JobMisconfigured(
            f"{wanted} cannot be installed: the image has neither pip nor uv",
            "take an image with one of them, or with a client for the store",
        )
    status, tail = run(command, installer_environment())
    if status != 0:
        last = "\n".join(without_credentials(line) for line in tail[-12:])
        raise JobMisconfigured(
            f"{wanted} does not install (exit status {status}):\n{last}",
            f"check {VARIABLE}, and that the job can reach its package index",
        )
    use_client(work)
    if needs_client(uri):
        raise JobMisconfigured(
            f"{wanted} is installed, and it is no client for {uri.partition('://')[0]}://",
            "let it be one of " + ", ".join(row.packages for row in CLIENTS[split_uri(uri)[0]]),
        )


def use_client(work: Path) -> None:
    """Have this process find the client, if one was installed."""
    folder = work / CLIENT_FOLDER
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def image_path() -> list[str]:
    """``sys.path`` as the image has it: a client that was installed is no package of the image's or of the step's."""
    return [entry for entry in sys.path if Path(entry).name != CLIENT_FOLDER]
