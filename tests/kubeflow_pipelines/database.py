"""
MariaDB, taken from Debian without being installed: the API server speaks MySQL's protocol, and no other.

It begins with no tables of its own, not even those of users: everybody may do everything, on the loopback alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.cache import cache_root, digest_of, kept
from tests.cluster.problems import PartMissing
from tests.cluster.processes import Processes

SERIES = "1:10.11.*"
"""Debian 12's, which gets security updates and nothing else; apt checks the signatures of what it takes."""
PACKAGES = (f"mariadb-server-core={SERIES}", "libaio1", "liburing2", "libnuma1")
"""The server, and those of its libraries that are not on every machine."""
NAME = "mlpipeline"
PROCESS = "mariadb"


def database_folder() -> Path:
    """Its place in the cache."""
    here = Path(__file__)
    return cache_root() / f"mariadb-{digest_of([here], here.parent)}"


def unpack_database() -> Path:
    """
    Take it from Debian if this machine does not have it, and return its folder.

    :raises PartMissing: Debian did not give it.
    """
    return kept(database_folder(), _unpack)


def unpacked_database() -> Path:
    """
    The folder with it.

    :raises PartMissing: it is not there yet.
    """
    if not database_folder().exists():
        raise PartMissing("MariaDB is not unpacked on this machine → `python -m tests.kubeflow_pipelines build`")
    return database_folder()


def start_database(processes: Processes, folder: Path, port: int) -> None:
    """Start it with a database that is empty, or that was there before."""
    root = unpacked_database()
    data, temporary, sql = folder / "database" / "data", folder / "database" / "temporary", folder / "database.sql"
    for one in (data, temporary):
        one.mkdir(parents=True, exist_ok=True)
    sql.write_text(f"CREATE DATABASE IF NOT EXISTS {NAME} CHARACTER SET utf8mb4;\n")
    share = root / "usr" / "share" / "mysql"
    command = [
        root / "usr" / "sbin" / "mariadbd",
        "--no-defaults",  # the first, or it is not read
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--datadir={data}",
        f"--tmpdir={temporary}",  # one that starts removes the temporary tables that it finds, whosever they are
        f"--socket={folder / 'database.socket'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--skip-grant-tables",
        f"--init-file={sql}",
        "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=16M",
        "--innodb-flush-log-at-trx-commit=2",  # what was committed outlives the process, and not the machine
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    processes.start(PROCESS, command, _environment(root))


def _unpack(draft: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise PartMissing(f"MariaDB is taken from Debian, and there is no {tool} here")
    packages = draft / "packages"
    packages.mkdir()
    if not _download(packages):
        _apt(packages, "update")  # a fresh machine has no lists, or old ones
        if not _download(packages):
            raise PartMissing(f"apt-get could not download {', '.join(PACKAGES)} → try `apt-get update` as root")
    for package in sorted(packages.glob("*.deb")):
        print(f"unpacking {package.stem}", file=sys.stderr, flush=True)
        subprocess.run(["dpkg-deb", "--extract", package, draft], check=True)
    shutil.rmtree(packages)
    done = subprocess.run(
        [draft / "usr" / "sbin" / "mariadbd", "--no-defaults", "--version"], capture_output=True, text=True,
        env={**os.environ, **_environment(draft)},
    )  # fmt: skip
    if done.returncode:
        raise PartMissing(f"MariaDB does not start here: {done.stderr.strip()}")


def _download(folder: Path) -> bool:
    return _apt(folder, "download", *PACKAGES)


def _apt(folder: Path, *arguments: str) -> bool:
    # its own user for downloads can't write here, which it would warn of
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL).returncode == 0


def _environment(root: Path) -> dict[str, str]:
    folders = [str(folder) for folder in (root / "usr" / "lib").glob("*-linux-gnu")]
    return {"LD_LIBRARY_PATH": ":".join(folders)}
