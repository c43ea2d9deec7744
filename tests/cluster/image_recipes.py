"""The images that pods of the tests run, each made once per machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .binaries import KUBERNETES, REPOSITORY, build, install
from .cache import cache_root, digest_of, kept
from .images import Layer, Store
from .packages import debian_mirror
from .problems import ClusterFailed, PartMissing

PYTHON = "lab.local/python:3.11"
PYTHON_S3 = "lab.local/python-s3:3.11"
"""The same with boto3 and obstore."""
NO_PYTHON = "lab.local/busybox-like:1"

# Names without their registry. The tag of alpine is what Airflow's KubernetesPodOperator asks for as its sidecar.
PYTHON_NAMES = ("python:3.11", "library/python:3.11", "library/alpine:3.24.2", "library/alpine:latest")

PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RELEASE = "bookworm"
DEBIAN_PACKAGES = ("python3", "procps", "ca-certificates")  # procps: the sidecar's pgrep
DIST_PACKAGES = "usr/local/lib/python3.11/dist-packages"
# Half of Debian's files, which every node unpacks: no pod installs packages or reads manuals.
UNUSED_FOLDERS = (
    *("var/cache/apt", "var/lib/apt", "var/lib/dpkg", "usr/lib/apt", "usr/share/perl5", "usr/lib/*/perl-base"),
    *("usr/share/bash-completion", "usr/share/doc", "usr/share/info", "usr/share/lintian", "usr/share/locale"),
    *("usr/share/man", "usr/lib/*/gconv"),
)


def images_folder() -> Path:
    """The place of the image store in the cache, by what the images are made from."""
    here = Path(__file__).parent
    files = [here / "images.py", here / "image_recipes.py"]
    return cache_root() / f"images-{digest_of(files, here)}"


def build_images() -> Path:
    """
    Make the images if this machine does not have them, and return their store.

    :raises PartMissing: this is not root, as debootstrap must be.
    """
    return kept(images_folder(), _build)


def built_images() -> Path:
    """
    The image store.

    :raises PartMissing: it is not made yet.
    """
    if not images_folder().exists():
        raise PartMissing("the images for pods are not made on this machine → `make cluster` as root (2 minutes, once)")
    return images_folder()


def _build(folder: Path) -> None:
    if os.geteuid() != 0:
        raise PartMissing("the images for pods are made by debootstrap, which must be root → `make cluster` as root")
    began = time.monotonic()
    print("making the images for pods, which takes a minute or two", file=sys.stderr, flush=True)
    store = Store(folder)
    pause = _layer(store, _pause)
    store.add_image(["pause:1"], [pause], {"Entrypoint": ["/pause"], "Env": [PATH_VARIABLE]})
    busybox = _layer(store, _busybox)
    store.add_image(["busybox-like:1"], [busybox], {"Cmd": ["sh"], "Env": [PATH_VARIABLE]})
    debian = _layer(store, _debian_with_python)
    shell = {"Cmd": ["python3"], "Env": [PATH_VARIABLE]}
    store.add_image(PYTHON_NAMES, [debian], shell)
    store.add_image(["python-s3:3.11"], [debian, _layer(store, _object_store_clients)], shell)
    print(f"made the images in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _layer(store: Store, fill: Callable[[Path], None]) -> Layer:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        root.mkdir()
        fill(root)
        return store.add_layer(root)


def _pause(root: Path) -> None:
    shutil.copy2(build(KUBERNETES) / "pause", root / "pause")


def _busybox(root: Path) -> None:
    binaries = root / "bin"
    for folder in (binaries, root / "tmp", root / "etc"):
        folder.mkdir()
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise PartMissing("busybox is not installed → `make cluster` as root installs it")
    shutil.copy2(busybox, binaries / "busybox")
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (binaries / name).symlink_to("busybox")


def _debian_with_python(root: Path) -> None:
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}", RELEASE, root, *debian_mirror()],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        raise ClusterFailed(f"debootstrap failed:\n{done.stdout[-2000:]}")
    for pattern in UNUSED_FOLDERS:
        for folder in root.glob(pattern):
            shutil.rmtree(folder)
    (root / "usr/bin/python").symlink_to("python3")


def _object_store_clients(root: Path) -> None:
    """The versions that our own tests run with."""
    folder = root / DIST_PACKAGES
    folder.mkdir(parents=True)
    pins = REPOSITORY / "requirements" / "dev.txt"
    wanted = ["--python-version", "3.11", "--python-platform", f"{platform.machine()}-unknown-linux-gnu"]
    install(folder, *wanted, "--only-binary", ":all:", "--constraint", str(pins), "boto3", "obstore")
