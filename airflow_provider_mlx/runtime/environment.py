"""
The packages of a step: the image's own, or a venv over them, built once per digest and cached.

pip leaves alone what it sees in the image. uv does not look there, so it is shown the image's packages as wheels
without content, resolves against them, and what the image has is taken out of its answer before it installs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from .refusals import JobMisconfigured
from .requirements import Choice, choose, has_hash, is_option, normal_name
from .uris import without_credentials as redact

if TYPE_CHECKING:
    from .protocol import Environment

COMPLETE = ".mlx-complete"
"""Written last: a venv without it was never finished and is built again."""

Run = Callable[[Sequence[str], "dict[str, str]"], "tuple[int, list[str]]"]
"""Runs a command with an environment; its exit status and its last lines."""


def prepare_environment(environment: Environment, work: Path, run: Run) -> str:
    """
    The interpreter that has the requirements.

    :param work: where the venv goes if there is no cache.
    :raises JobMisconfigured: a requirement does not install, or would replace a protected package.
    """
    requirements = [line.strip() for line in environment.get("requirements", ()) if line.strip()]
    if not requirements:
        return sys.executable
    inherit = environment.get("inherit", True)
    image = image_packages() if inherit else {}
    choice = choose(requirements, image, environment.get("replace", ()))
    if all(is_option(line) for line in choice.lines):
        print("mlx: the image satisfies all requirements", flush=True)
        if inherit:
            return sys.executable
    inherited = inherited_folders() if inherit else []
    installer = find_uv()
    cache = Path(environment.get("cache") or work / "venvs")
    folder = cache / _digest(requirements, choice, inherited, bool(installer))
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{folder.name}.lock"):
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, choice, inherited, image, installer, run)
        (folder / COMPLETE).touch()  # also when it is only used: its age says whether anybody still does
    return str(_python(folder))


def image_packages() -> dict[str, str]:
    """What this interpreter can import, version by normal name; the first on the path counts, as for imports."""
    import importlib.metadata

    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
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
    return [entry for entry in sys.path if Path(entry).is_dir() and entry not in standard]


def find_uv() -> list[str]:
    """The command that runs uv, empty when there is none."""
    found = shutil.which("uv")
    if found:
        return [found]
    import importlib.util

    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _build(
    folder: Path, choice: Choice, inherited: list[str], image: Mapping[str, str], installer: list[str], run: Run
) -> None:
    base = sys.executable if inherited else getattr(sys, "_base_executable", sys.executable)
    # An inherited image lends its pip too, which saves the seconds that a new one takes to install.
    pip = ["--without-pip"] if installer or (inherited and "pip" in image) else []
    _checked(run, [base, "-m", "venv", *pip, str(folder)], "the venv cannot be made")
    for name, lines in (("requirements", choice.lines), ("constraints", choice.constraints)):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    if inherited:
        # A .pth line stands behind the venv's own folder, so what is installed here wins.
        _site_packages(folder).joinpath("_mlx_image.pth").write_text("".join(f"{entry}\n" for entry in inherited))
    if installer:
        _install_with_uv(folder, choice, image, installer, run)
    else:
        _install_with_pip(folder, choice, image, run)


def _install_with_uv(folder: Path, choice: Choice, image: Mapping[str, str], uv: list[str], run: Run) -> None:
    python = str(_python(folder))
    requirements = folder / "requirements.txt"
    if any(has_hash(line) for line in choice.lines):
        # Hashed files pin everything already; resolving them again would lose the hashes. What the image has was taken
        # out, and must not be asked for again by what needs it.
        alone = ["--no-deps"] if image else []
        command = [*uv, "pip", "install", "--python", python, "--require-hashes", *alone, "-r", str(requirements)]
        _checked(run, command, "the requirements do not install")
        return
    resolved = folder / "resolved.txt"
    command = [
        *uv, "pip", "compile", "--quiet", "--python", python, "--no-header", "--no-annotate",
        "--constraint", str(folder / "constraints.txt"), "--find-links", str(_image_wheels(folder / "image-wheels")),
        "--output-file", str(resolved), str(requirements),
    ]  # fmt: skip
    together = " together with the image's packages" if image else ""
    _checked(run, command, f"the requirements cannot be met{together}")
    missing = folder / "missing.txt"
    options = [line for line in choice.lines if is_option(line) and not line.startswith(("-r", "-c", "-e"))]
    lines = [line for line in resolved.read_text().splitlines() if line.strip() and not _in_image(line, image)]
    missing.write_text("".join(f"{line}\n" for line in (*options, *lines)))
    command = [*uv, "pip", "install", "--python", python, "--no-deps", "-r", str(missing)]
    _checked(run, command, "the requirements do not install")


def _image_wheels(folder: Path) -> Path:
    """
    The image's packages as wheels of metadata only, for uv to resolve against and never to install.

    They stand for versions that no index has (``2.9.1+cu130``, a company's own), and save asking for the others.
    """
    import importlib.metadata
    import zipfile

    folder.mkdir()
    for distribution in importlib.metadata.distributions():
        metadata, name = distribution.read_text("METADATA"), distribution.metadata["Name"]
        stem = f"{normal_name(name).replace('-', '_')}-{distribution.version}" if name else ""
        path = folder / f"{stem}-py3-none-any.whl"
        if not metadata or not stem or path.exists():
            continue
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return folder


def _install_with_pip(folder: Path, choice: Choice, image: Mapping[str, str], run: Run) -> None:
    rest = ["-c", str(folder / "constraints.txt")]
    if any(has_hash(line) for line in choice.lines):
        rest = ["--require-hashes", *(["--no-deps"] if image else [])]  # as for uv
    command = [str(_python(folder)), "-m", "pip", "install", *rest, "-r", str(folder / "requirements.txt")]
    _checked(run, command, "the requirements do not install")


def _in_image(line: str, image: Mapping[str, str]) -> bool:
    name, mark, version = line.split(";")[0].strip().partition("==")
    return bool(mark) and image.get(normal_name(name.split("[")[0])) == version.strip()


def _checked(run: Run, command: list[str], what: str) -> None:
    status, tail = run(command, _installer_environment())
    if status != 0:
        last = "\n".join(redact(line) for line in tail[-12:])
        remedy = "check the names and versions in requirements=, and that the job can reach its package index"
        if "hash" in last.lower():
            remedy = "a file is not the one that its hash names, or has none: look at who changed it, or compile anew"
        raise JobMisconfigured(f"{what} (exit status {status}):\n{last}", remedy)


def _installer_environment() -> dict[str, str]:
    defaults = {
        # uv brings its own certificates; a company's index is signed by the system's. Both names of the setting.
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    if "UV_SYSTEM_CERTS" in os.environ or "UV_NATIVE_TLS" in os.environ:
        defaults = {name: value for name, value in defaults.items() if not name.startswith("UV_")}
    return {**defaults, **os.environ}


def _digest(requirements: list[str], choice: Choice, inherited: list[str], uv: bool) -> str:
    facts = [
        requirements, choice.lines, choice.constraints, inherited, uv,
        [_file_digest(line) for line in requirements], sys.version, sys.platform, os.uname().machine, sys.base_prefix,
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


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _site_packages(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
