"""What the cluster takes from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .problems import PartMissing

NETWORK_PLUGINS = Path("/usr/lib/cni")


@dataclass(frozen=True)
class Package:
    """A package, by a file that shows that it is there."""

    shown_by: str
    why: str

    @property
    def is_there(self) -> bool:
        return (
            Path(self.shown_by).exists() if self.shown_by.startswith("/") else shutil.which(self.shown_by) is not None
        )


PACKAGES: Mapping[str, Package] = {
    "containerd": Package("containerd", "runs a node's containers"),
    "runc": Package("runc", "starts a container"),
    "containernetworking-plugins": Package(f"{NETWORK_PLUGINS}/bridge", "gives a pod its network"),
    "iptables": Package("iptables", "kube-proxy's tool"),
    "iproute2": Package("ip", "lays the cables between nodes"),
    "debootstrap": Package("debootstrap", "makes the Python image"),
    "busybox-static": Package("busybox", "makes the image without Python"),
}


def missing_packages() -> list[str]:
    """Names of the packages that are not installed."""
    return [name for name, package in PACKAGES.items() if not package.is_there]


def require_packages() -> None:
    """
    :raises PartMissing: some are not installed, or this is not root, whom nodes need.
    """
    if os.geteuid() != 0:
        raise PartMissing("nodes need root: they have namespaces, mounts and control groups of their own → run as root")
    if names := missing_packages():
        raise PartMissing(f"not installed: {_explained(names)} → `make cluster` as root, or {_command(names)}")


def install_packages() -> None:
    """
    Install what is missing.

    :raises PartMissing: it can't be, and the message says why.
    """
    names = missing_packages()
    if not names:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PartMissing(f"not installed: {_explained(names)} → as root, on Debian or the like: {_command(names)}")
    print(f"installing {', '.join(names)}", file=sys.stderr, flush=True)
    if not _apt_install(names):
        _apt("update")  # a fresh machine has no lists, or old ones
        if not _apt_install(names):
            raise PartMissing(f"apt-get could not install {_explained(names)} → try it by hand: {_command(names)}")


def debian_mirror() -> list[str]:
    """Where this machine takes Debian from, as debootstrap's last argument; without it, it has a mirror of its own."""
    for file in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        for word in file.read_text().split() if file.is_file() else []:
            if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                return [word]
    return []


def _apt_install(names: list[str]) -> bool:
    return _apt("install", "-y", "--no-install-recommends", *names)


def _apt(*arguments: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdout=subprocess.DEVNULL).returncode == 0


def _explained(names: list[str]) -> str:
    return ", ".join(f"{name} ({PACKAGES[name].why})" for name in names)


def _command(names: list[str]) -> str:
    return f"`apt-get install --no-install-recommends {' '.join(names)}`"
