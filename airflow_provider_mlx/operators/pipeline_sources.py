"""Where an operator's pipeline comes from: a dict, a compiled file, an object, or a Python file that is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.compiling import SDK_VERSION, PipelineCompiler, Sdk
from airflow_provider_mlx.backends.kubeflow_pipelines.pipeline_source import PipelineSource
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.settings import read_settings

from .untemplated import written

FOLDER = "kubeflow-pipelines"
"""In ``[mlx] local_root``: the SDK's environments, and what was compiled."""


@dataclass(frozen=True)
class PipelineFile:
    """
    What a task says about its pipeline.

    :param given: a compiled pipeline as a dict or as YAML; a file's path, or an object's URI, of one; or the path of a
        Python file that holds it.
    :param function: in the Python file.
    :param conn_id: of the object's store.
    """

    given: str | Mapping[str, Any]
    function: str = ""
    include: Sequence[str] = ()
    sdk_version: str = ""
    sdk_packages: Sequence[str] = ()
    conn_id: str | None = None


def load_for(operator: Any, *, root: str | None) -> CompiledPipeline:
    """
    The pipeline that an operator brings, from its fields.

    :param root: the DAG bundle's folder.
    :raises InvalidStep: there is none, or it cannot be compiled.
    """
    file = PipelineFile(
        written(operator.pipeline), operator.function or "", operator.include, operator.sdk_version or "",
        operator.sdk_packages, operator.pipeline_conn_id,
    )  # fmt: skip
    return load_pipeline(
        file, dag_file=operator.dag.fileloc, root=root, local_root=read_settings().local_root,
        show=lambda line: operator.log.info("mlx: %s", line),
    )  # fmt: skip


def load_pipeline(
    file: PipelineFile, *, dag_file: str, root: str | None, local_root: Path, show: Callable[[str], None]
) -> CompiledPipeline:
    """
    The compiled pipeline.

    :param dag_file: paths are relative to its folder, or to ``root``, the DAG bundle's.
    :param local_root: where compiled pipelines are kept on this worker.
    :param show: told what takes long.
    :raises InvalidStep: there is none, or it cannot be compiled.
    """
    given = file.given
    if isinstance(given, Mapping) or "\n" in given:
        return parse_pipeline(given)
    if "://" in given:
        data = open_store(given, file.conn_id).read(given)
        if data is None:
            problem = Problem(f"there is no object {given}", "correct the URI, or name its connection", "pipeline")
            raise InvalidStep("the pipeline cannot be read", [problem])
        return parse_pipeline(data.decode())
    folders = [Path(dag_file).parent, *([Path(root)] if root else [])]
    path = _find(given, folders)
    if path.suffix != ".py":
        return parse_pipeline(path.read_text())
    compiler = PipelineCompiler(
        environments=local_root / FOLDER / "environments", compiled=local_root / FOLDER / "compiled",
        sdk=Sdk(file.sdk_version or SDK_VERSION, tuple(file.sdk_packages)), show=show,
    )  # fmt: skip
    search = tuple(dict.fromkeys((path.parent, *folders)))
    return compiler.compile(PipelineSource(path, file.function, include=tuple(file.include), search=search))


def _find(given: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / given).is_file():
            return folder / given
    looked = ", ".join(f"`{folder}`" for folder in dict.fromkeys(folders))
    raise InvalidStep(
        "the pipeline cannot be read",
        [Problem(f"there is no file `{given}` in {looked}", "give its path from the DAG file's folder", "pipeline")],
    )
