"""
What of Kubeflow Pipelines and of Argo Workflows runs in pods, and what sees to those pods, from published Go modules.

Built as the API server is (``../api_server.py``), from one module of ours. The published archive of Argo's lacks one
file, without which its executor is not built for Linux: a copy of it with a file of ours takes its place.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.cluster.cache import cache_root, digest_of, kept
from tests.cluster.problems import PartMissing
from tests.kubeflow_pipelines import api_server
from tests.kubeflow_pipelines.api_server import go, source_of

HERE: Final = Path(__file__).parent
MODULE: Final = HERE / "go"
ARGO: Final = "github.com/argoproj/argo-workflows/v3"
ARGO_VERSION: Final = "v3.6.7"
"""The one that Kubeflow Pipelines 2.14.3 is built with, by its ``go.mod``."""
EFFORT: Final = "5 CPU minutes"

DRIVER, LAUNCHER, EXECUTOR = "driver", "launcher-v2", "argoexec"
CONTROLLER, AGENT = "workflow-controller", "persistence"
PACKAGES: Final[Mapping[str, str]] = {
    DRIVER: "github.com/kubeflow/pipelines/backend/src/v2/cmd/driver",
    LAUNCHER: "github.com/kubeflow/pipelines/backend/src/v2/cmd/launcher-v2",
    EXECUTOR: f"{ARGO}/cmd/argoexec",
    CONTROLLER: f"{ARGO}/cmd/workflow-controller",
    AGENT: "github.com/kubeflow/pipelines/backend/src/agent/persistence",
}
"""File → package."""


def programs_folder() -> Path:
    """Their place in the cache, by what they are built from."""
    theirs = [api_server.GENERATOR, api_server.REQUIREMENTS, *api_server.MODULES.rglob("*")]
    files = [path for path in (*theirs, *MODULE.rglob("*")) if path.is_file()]
    return cache_root() / f"kubeflow-in-pods-{digest_of(files, api_server.HERE)}"


def build_programs() -> Path:
    """
    Build them if this machine does not have them, and return their folder.

    :raises ClusterFailed: Go could not build one.
    """
    return kept(programs_folder(), _build)


def built_programs() -> Path:
    """
    The folder with all of them.

    :raises PartMissing: they are not built, which nobody wants to wait for by surprise.
    """
    if not programs_folder().exists():
        raise PartMissing(
            "what of Kubeflow Pipelines runs in pods is not built on this machine → "
            f"`python -m tests.kubeflow_pipelines build --in-pods` (about {EFFORT}, once)"
        )
    return programs_folder()


def _build(draft: Path) -> None:
    began = time.monotonic()
    print(f"building what of Kubeflow Pipelines runs in pods, about {EFFORT}", file=sys.stderr, flush=True)
    with source_of(draft, api_server.MODULES / "server", MODULE) as source:
        _complete_argo(source / "argo")
        go(source, "build", "-trimpath", "-ldflags=-s -w", "-o", f"{draft}/", *PACKAGES.values())
    print(f"built it in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _complete_argo(folder: Path) -> None:
    """Fill a folder, which holds what is missing, with a copy of the module; modules are read-only where Go keeps them."""
    missing = folder / "signal_linux.go"
    place = folder / "workflow" / "executor" / "os-specific"
    found = json.loads(go(api_server.MODULES / "server", "mod", "download", "-json", ARGO))
    shutil.copytree(found["Dir"], folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*/")):
        path.chmod(0o755)
    missing.rename(place / missing.name)
