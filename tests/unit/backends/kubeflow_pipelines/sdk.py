"""The real SDK in an environment of its own, made once per machine and shared by all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airflow_provider_mlx.backends.kubeflow_pipelines.compiling import PipelineCompiler, Sdk
from tests.cluster.cache import cache_root

PIPELINES = Path(__file__).parent / "pipelines"
ENVIRONMENTS = cache_root() / "kfp-sdk"


def compiler(compiled: Path, show: Callable[[str], None] = lambda line: None, **more) -> PipelineCompiler:
    return PipelineCompiler(**{"environments": ENVIRONMENTS, "compiled": compiled, "sdk": Sdk(), "show": show, **more})


def interpreter() -> str:
    """The interpreter that has the SDK."""
    return compiler(ENVIRONMENTS / "none")._environment(Sdk().requirements())


def site_packages() -> Path:
    """Where its packages are."""
    return next(Path(interpreter()).parent.parent.glob("lib/python*/site-packages"))
