"""
The images that pods of pipelines run, in a store with those of the tests' cluster.

Upstream's own names, each with one program in it; and for tasks, Python with the runtime of Kubeflow's SDK under the
names that compiled pipelines have, so that tasks run without a package index. The SDK's own compiler has each task
install the SDK first; pip finds it there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.cluster.binaries import install
from tests.cluster.cache import cache_root, digest_of, kept
from tests.cluster.image_recipes import DIST_PACKAGES, PATH_VARIABLE, build_images, images_folder
from tests.cluster.images import Blob, Layer, Store
from tests.cluster.problems import PartMissing
from tests.kubeflow_pipelines.api_server import VERSION

from .programs import ARGO_VERSION, DRIVER, EXECUTOR, LAUNCHER, build_programs, programs_folder

HERE: Final = Path(__file__).parent
SDK: Final = HERE / "sdk.txt"
"""The SDK without what it needs to compile, and pip."""

DRIVER_IMAGE: Final = f"ghcr.io/kubeflow/kfp-driver:{VERSION}"
LAUNCHER_IMAGE: Final = f"ghcr.io/kubeflow/kfp-launcher:{VERSION}"
EXECUTOR_IMAGE: Final = f"quay.io/argoproj/argoexec:{ARGO_VERSION}"
TASK_NAMES: Final = (
    "library/python:3.9",  # the default of the SDK, whose tasks do not mind a newer Python
    *("python:3.11", "library/python:3.11", "library/python:3.11-slim"),
    "ml:1",  # of the unit tests' pipelines
)
CLIENTS: Final = "python-s3:3.11"
"""The image of the cluster with Python and clients of object stores."""


def pod_images_folder() -> Path:
    """The place of the store in the cache, by what the images are made from."""
    own = digest_of([HERE / "images.py", SDK], HERE)
    made_from = f"{own} {images_folder().name} {programs_folder().name}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made-from"
        file.write_text(made_from)
        return cache_root() / f"kubeflow-images-{digest_of([file], file.parent)}"


def build_pod_images() -> Path:
    """
    Make the images if this machine does not have them, and return their store.

    :raises PartMissing: this is not root, as must be whoever makes the cluster's.
    """
    build_images()
    return kept(pod_images_folder(), _build)


def built_pod_images() -> Path:
    """
    The store.

    :raises PartMissing: it is not made yet.
    """
    if not pod_images_folder().exists():
        what = "the images of Kubeflow's pods are not made on this machine"
        raise PartMissing(f"{what} → `python -m tests.kubeflow_pipelines build --in-pods`")
    return pod_images_folder()


def _build(draft: Path) -> None:
    began = time.monotonic()
    print("making the images of Kubeflow's pods, which takes half a minute", file=sys.stderr, flush=True)
    store = _with_the_clusters(draft)
    for program, image in ((DRIVER, DRIVER_IMAGE), (LAUNCHER, LAUNCHER_IMAGE), (EXECUTOR, EXECUTOR_IMAGE)):
        layer = _layer(store, lambda root, program=program: _one_program(root, program))
        store.add_image([image.partition("/")[2]], [layer], {"Entrypoint": [program], "Env": [PATH_VARIABLE]})
    sdk = _layer(store, _sdk)
    # Debian's Python lets pip say no more than that it is Debian's
    environment = [PATH_VARIABLE, "PIP_BREAK_SYSTEM_PACKAGES=1"]
    store.add_image(TASK_NAMES, [*_layers_of(store, CLIENTS), sdk], {"Cmd": ["python3"], "Env": environment})
    print(f"made the images in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _with_the_clusters(folder: Path) -> Store:
    """A store that has what the cluster's has; their blobs are the same files."""
    theirs, store = build_images(), Store(folder)
    for blob in (theirs / "blobs").iterdir():
        os.link(blob, folder / "blobs" / blob.name)
    shutil.copyfile(theirs / "tags.json", folder / "tags.json")
    return store


def _layers_of(store: Store, name: str) -> list[Layer]:
    """Of an image that is there."""

    def read(digest: str) -> dict:
        return json.loads((store.folder / "blobs" / digest.removeprefix("sha256:")).read_text())

    manifest = read(json.loads((store.folder / "tags.json").read_text())[name])
    contents: Sequence[str] = read(manifest["config"]["digest"])["rootfs"]["diff_ids"]
    packed = [Blob(one["digest"], one["size"]) for one in manifest["layers"]]
    return [Layer(blob, content) for blob, content in zip(packed, contents, strict=True)]


def _layer(store: Store, fill: Callable[[Path], None]) -> Layer:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        root.mkdir()
        fill(root)
        return store.add_layer(root)


def _one_program(root: Path, program: str) -> None:
    for folder in ("bin", "etc", "tmp"):
        (root / folder).mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/false\n")
    shutil.copy2(build_programs() / program, root / "bin" / program)


def _sdk(root: Path) -> None:
    folder = root / DIST_PACKAGES
    folder.mkdir(parents=True)
    install(folder, "--python-version", "3.11", "--no-deps", "--require-hashes", "-r", str(SDK))
    program = root / "usr" / "local" / "bin" / "pip"  # without it, tasks would have Debian install one
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nexec python3 -m pip "$@"\n')
    program.chmod(0o755)
