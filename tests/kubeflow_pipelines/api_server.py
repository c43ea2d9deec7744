"""
The API server of Kubeflow Pipelines, built from its published Go module.

Two things that the module takes from folders beside it are not in what is published: the Go code of the pipeline and of
the platform specification. It is made anew from the descriptors in the Python packages of the same release; one file is
taken from the last release of the module that once held it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cache import cache_root, digest_of, kept
from tests.cluster.problems import ClusterFailed, PartMissing

VERSION = "2.14.3"
"""Of which the module in ``go/server/go.mod`` is the tag."""
COMMIT = "fc3214d4b4d395cb2d5de940d3dbd7ebc295c330"
EFFORT = "4 CPU minutes"

HERE = Path(__file__).parent
MODULES = HERE / "go"
GENERATOR = HERE / "protocols.py"
REQUIREMENTS = HERE / "requirements.txt"
PACKAGE = "github.com/kubeflow/pipelines/backend/src/apiserver"
PLUGIN = "google.golang.org/protobuf/cmd/protoc-gen-go"
PUBLISHED = "github.com/kubeflow/pipelines/api"
AS_PUBLISHED = Path("v2alpha1") / "go" / "cachekey"


def api_server_folder() -> Path:
    """Its place in the cache, by what it is built from."""
    files = [GENERATOR, REQUIREMENTS, *(path for path in MODULES.rglob("*") if path.is_file())]
    return cache_root() / f"kubeflow-pipelines-{digest_of(files, HERE)}"


def build_api_server() -> Path:
    """
    Build it if this machine does not have it, and return it.

    :raises ClusterFailed: Go could not build it.
    :raises PartMissing: the registry did not give the packages of its protocols.
    """
    return kept(api_server_folder(), _build) / "apiserver"


def built_api_server() -> Path:
    """
    The binary.

    :raises PartMissing: it is not built, which nobody wants to wait for by surprise.
    """
    if not api_server_folder().exists():
        raise PartMissing(
            "the API server of Kubeflow Pipelines is not built on this machine → "
            f"`python -m tests.kubeflow_pipelines build` (about {EFFORT}, once)"
        )
    return api_server_folder() / "apiserver"


def _build(draft: Path) -> None:
    began = time.monotonic()
    print(f"building the API server of Kubeflow Pipelines, about {EFFORT}", file=sys.stderr, flush=True)
    with source_of(draft, MODULES / "server") as source:
        go(source, "build", "-trimpath", "-ldflags=-s -w", "-o", str(draft / "apiserver"), PACKAGE)
    print(f"built it in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def source_of(draft: Path, *modules: Path) -> Iterator[Path]:
    """
    A module of ours that is complete, in a folder as long as the block lasts.

    :param modules: folders of files; those of a later one take the place of an earlier one's.
    """
    source, packages, plugin = draft / "source", draft / "packages", draft / "protoc-gen-go"
    for module in modules:
        shutil.copytree(module, source, dirs_exist_ok=True)
    _add_published(source)
    go(source, "build", "-o", str(plugin), PLUGIN)
    _generate(plugin, source, packages)
    yield source
    plugin.unlink()
    shutil.rmtree(source)
    shutil.rmtree(packages)


def _add_published(source: Path) -> None:
    """Modules are read-only where Go keeps them, so that names and bytes are copied, and no modes."""
    found = json.loads(go(MODULES / "published", "mod", "download", "-json", PUBLISHED))
    target = source / "api" / AS_PUBLISHED
    target.mkdir(parents=True)
    for file in (Path(found["Dir"]) / AS_PUBLISHED).iterdir():
        shutil.copyfile(file, target / file.name)


def _generate(plugin: Path, source: Path, packages: Path) -> None:
    binaries.install(packages, "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS))
    done = subprocess.run(
        [sys.executable, "-S", GENERATOR, plugin, source], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(packages)},
    )  # fmt: skip
    if done.returncode:
        raise ClusterFailed(f"the protocols of Kubeflow Pipelines could not be made:\n{done.stderr[-2000:]}")


def go(folder: Path, *arguments: str) -> str:
    """
    Run Go in the folder of a module, and return what it printed.

    :raises ClusterFailed: it failed.
    """
    environment = {"GOFLAGS": "-p=2 -buildvcs=false", **os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        [binaries.find_go(), *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )  # fmt: skip
    if done.returncode:
        raise ClusterFailed(f"go {' '.join(arguments)} in {folder}:\n{done.stderr[-4000:]}")
    return done.stdout
