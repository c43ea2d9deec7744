"""
Building the venv of a step, over the image's packages or without them, with uv or pip.

pip leaves alone what it sees in the image. uv does not look there, so it is shown the image's packages as wheels
without content, resolves against them, and what the image has is taken out of its answer before it installs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from .installed_client import image_path
from .refusals import JobMisconfigured
from .requirements import Choice, is_hashed, normal_name, requirement_name
from .uris import without_credentials as redact

if TYPE_CHECKING:
    from .wheelhouse import Wheelhouse

Run = Callable[[Sequence[str], "dict[str, str]"], "tuple[int, list[str]]"]
"""Runs a command with an environment; its exit status and its last lines."""

_INDEXES = ("INDEX", "FIND_LINKS", "CONFIG", "TRUSTED_HOST", "DEFAULT_INDEX")


@dataclass(frozen=True)
class Building:
    """
    One venv to be built.

    :param choice: what is to be installed, and what must stay as it is.
    :param image: the image's packages, version by normal name; empty if it lends none.
    :param inherited: the folders in which they are.
    :param uv: the command that runs uv; empty for pip.
    :param wheelhouse: the only source of packages, if there is one.
    """

    folder: Path
    choice: Choice
    image: Mapping[str, str]
    inherited: Sequence[str]
    uv: Sequence[str]
    run: Run
    wheelhouse: Wheelhouse | None = None

    def build(self) -> None:
        """
        Make the venv and install.

        :raises JobMisconfigured: a requirement cannot be met, or does not install.
        """
        base = sys.executable if self.inherited else getattr(sys, "_base_executable", sys.executable)
        # An inherited image lends its pip too, which saves the seconds that a new one takes to install.
        pip = ["--without-pip"] if self.uv or (self.inherited and "pip" in self.image) else []
        self._check([base, "-m", "venv", *pip, str(self.folder)], "the venv cannot be made")
        if self.inherited:
            # A .pth line stands behind the venv's own folder, so what is installed here wins.
            _site_packages(self.folder).joinpath("_mlx_image.pth").write_text("".join(f"{e}\n" for e in self.inherited))
        wheels = self.wheelhouse.bring(self.folder / "wheelhouse") if self.wheelhouse else None
        requirements = self._write("requirements", self.choice.lines)
        constraints = self._write("constraints", self.choice.constraints)
        if self.uv:
            self._install_with_uv(requirements, constraints, wheels)
        else:
            only = ["--no-index", "--only-binary", ":all:", "--find-links", str(wheels)] if wheels else []
            command = [str(python_of(self.folder)), "-m", "pip", "install", *only]
            self._check([*command, "-c", constraints, "-r", requirements], "the requirements do not install")

    def _install_with_uv(self, requirements: str, constraints: str, wheels: Path | None) -> None:
        python = str(python_of(self.folder))
        only = ["--no-index", "--no-build", "--find-links", str(wheels)] if wheels else []
        config = ["--no-config"] if wheels else []
        resolved = self.folder / "resolved.txt"
        together = " together with the image's packages" if self.image else ""
        lent = ["--find-links", str(_image_wheels(self.folder / "image-wheels"))] if self.image else []
        self._check(
            [
                *self.uv, *config, "pip", "compile", "--quiet", "--python", python, "--no-header", "--no-annotate",
                "--constraint", constraints, *lent, *only,
                "--output-file", str(resolved), requirements,
            ],
            f"the requirements cannot be met{together}",
        )  # fmt: skip
        lines = [line for line in resolved.read_text().splitlines() if line.strip() and not self._in_image(line)]
        hashed = [line for line in self.choice.lines if is_hashed(line)]
        if hashed:
            lines = _with_hashes(lines, hashed)
        options = [
            line for line in self.choice.lines if line.startswith("-") and not line.startswith(("-r", "-c", "-e"))
        ]
        missing = self._write("missing", (*options, *lines))
        command = [*self.uv, *config, "pip", "install", "--python", python, "--no-deps", *only]
        command += ["--require-hashes"] if hashed else []
        self._check([*command, "-r", missing], "the requirements do not install")

    def _in_image(self, line: str) -> bool:
        name, mark, version = line.split(";")[0].strip().partition("==")
        return bool(mark) and self.image.get(normal_name(name.split("[")[0])) == version.strip()

    def _write(self, name: str, lines: Iterable[str]) -> str:
        path = self.folder / f"{name}.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def _check(self, command: Sequence[str], what: str) -> None:
        status, tail = self.run(command, self._environment())
        if status == 0:
            return
        last = "\n".join(redact(line) for line in tail[-12:])
        damaged = _mismatch(tail)
        if damaged:
            raise JobMisconfigured(
                f"the file of {damaged} is not the one whose hash the requirements name:\n{last}",
                "compile the requirements anew if you meant to change it; else find out who replaced the file",
            )
        where = (
            f"the wheelhouse {self.wheelhouse.uri} has them"
            if self.wheelhouse
            else "the job can reach its package index"
        )
        raise JobMisconfigured(
            f"{what} (exit status {status}):\n{last}",
            f"check the names and versions in requirements=, and that {where}",
        )

    def _environment(self) -> dict[str, str]:
        own = installer_environment()
        if self.wheelhouse:
            # Beside a wheelhouse no other source counts, wherever it is configured.
            own = {name: value for name, value in own.items() if not _names_an_index(name)}
            own["PIP_CONFIG_FILE"] = os.devnull
        return own


def installer_environment() -> dict[str, str]:
    """The job's environment as uv and pip should have it; what is set there counts."""
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


def python_of(folder: Path) -> Path:
    """The interpreter of a venv."""
    return folder / "bin" / "python"


def _with_hashes(resolved: Iterable[str], hashed: Iterable[str]) -> list[str]:
    """
    The hashed lines of what is to be installed: uv's answer has none.

    :raises JobMisconfigured: something must be installed that has no hash.
    """
    by_name = {requirement_name(line): line for line in hashed}
    names = [requirement_name(line) for line in resolved]
    without = [line for line, name in zip(resolved, names) if name not in by_name]
    if without:
        raise JobMisconfigured(
            f"these packages are needed too, and have no hash: {', '.join(without)}",
            "list them with their hashes, as `pip-compile --generate-hashes` and `uv pip compile --generate-hashes` do",
        )
    return [by_name[name] for name in names]


def _names_an_index(variable: str) -> bool:
    kind, _, name = variable.partition("_")
    return kind in ("PIP", "UV") and any(part in name for part in _INDEXES)


def _mismatch(tail: Iterable[str]) -> str:
    """The package whose file has another hash, in the words of uv (``Hash mismatch for …``) and of pip; or empty."""
    lines = list(tail)
    for line in lines:
        found = re.search(r"Hash mismatch for `([^`]+)`", line)
        if found:
            return found[1]
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        found = next((match for line in lines if (match := re.match(r"\s+(\S+) from ", line))), None)
        return found[1] if found else "a package"
    return ""


def _image_wheels(folder: Path) -> Path:
    """
    The image's packages as wheels of metadata only, for uv to resolve against and never to install.

    They stand for versions that no index has (``2.9.1+cu130``, a company's own), and save asking for the others.
    """
    import importlib.metadata
    import zipfile

    folder.mkdir()
    for distribution in importlib.metadata.distributions(path=image_path()):
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


def _site_packages(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
