"""The packages of a step: the image's own, or a venv over them, built once per digest and cached."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .building import Building, Run, python_of
from .installed_client import image_path
from .refusals import JobMisconfigured
from .requirements import Choice, choose, normal_name, of_a_network, unhashed
from .uris import without_credentials as redact
from .wheelhouse import Wheelhouse

if TYPE_CHECKING:
    from .protocol import Environment
    from .store import Store

COMPLETE = ".mlx-complete"
"""Written last: a venv without it was never finished and is built again."""


def prepare_environment(
    environment: Environment, work: Path, run: Run, *, store: Store | None = None, allowed: Sequence[str] = ()
) -> str:
    """
    The interpreter that has the requirements.

    :param work: where the venv goes if there is no cache.
    :param store: from which a wheelhouse is read.
    :param allowed: prefixes from which the job may read.
    :raises JobMisconfigured: a requirement does not install, or would replace a protected package.
    """
    requirements = [line.strip() for line in environment.get("requirements", ()) if line.strip()]
    if not requirements:
        return sys.executable
    inherit = environment.get("inherit", True)
    image = image_packages() if inherit else {}
    choice = choose(requirements, image, environment.get("replace", ()))
    if not any(not line.startswith("-") for line in choice.lines):
        print("mlx: the image satisfies all requirements", flush=True)
        if inherit:
            return sys.executable
    wheelhouse = _wheelhouse(environment.get("wheelhouse", ""), store, allowed, choice.lines)
    inherited = inherited_folders() if inherit else []
    installer = find_uv()
    cache = Path(environment.get("cache") or work / "venvs")
    folder = cache / _digest(requirements, choice, inherited, bool(installer), wheelhouse.digest if wheelhouse else "")
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{folder.name}.lock"):
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            Building(folder, choice, image, inherited, installer, run, wheelhouse).build()
        (folder / COMPLETE).touch()  # also when it is only used: its age says whether anybody still does
    return str(python_of(folder))


def _wheelhouse(uri: str, store: Store | None, allowed: Sequence[str], lines: Sequence[str]) -> Wheelhouse | None:
    """
    :raises JobMisconfigured: some requirements have hashes and others have none, or ask a network beside a wheelhouse.
    """
    missing = unhashed(lines)
    if missing:
        raise JobMisconfigured(
            f"some requirements have hashes and these have none: {', '.join(missing)}",
            "give every requirement its `--hash`, those that a codec needs too, or leave all hashes out",
        )
    if not uri or store is None:
        return None
    asking = of_a_network(lines)
    if asking:
        raise JobMisconfigured(
            f"there is a wheelhouse, and these requirements ask a network: {', '.join(map(redact, asking))}",
            "name the packages alone, and put their wheels into the wheelhouse",
        )
    return Wheelhouse(uri, store, allowed)


def image_packages() -> dict[str, str]:
    """What this interpreter can import, version by normal name; the first on the path counts, as for imports."""
    import importlib.metadata

    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=image_path()):
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            found.setdefault(normal_name(name), version)
    return found


def inherited_folders() -> list[str]:
    """
    The folders of packages that this interpreter sees, whether it is a system's or a venv's.

    A venv "with system site packages" would see the base interpreter's packages only, not those of an image's own venv.
    """
    import sysconfig

    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    standard |= {f"{folder}/lib-dynload" for folder in tuple(standard)}
    return [entry for entry in image_path() if Path(entry).is_dir() and entry not in standard]


def find_uv() -> list[str]:
    """The command that runs uv, empty when there is none."""
    found = shutil.which("uv")
    if found:
        return [found]
    import importlib.util

    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _digest(requirements: list[str], choice: Choice, inherited: list[str], uv: bool, wheelhouse: str) -> str:
    facts = [
        requirements, choice.lines, choice.constraints, inherited, uv,
        [_file_digest(line) for line in requirements], sys.version, sys.platform, os.uname().machine, sys.base_prefix,
        wheelhouse,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _file_digest(line: str) -> str:
    """Of a wheel that is named by its path, so that another wheel at the same path is another environment."""
    path = Path(line.split(" @ ")[-1].replace("file://", "").strip())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".whl" and path.is_file() else ""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time, in place since venvs cannot be moved; the kernel lets go when a builder dies."""
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
