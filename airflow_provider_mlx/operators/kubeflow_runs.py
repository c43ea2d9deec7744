"""What can be said of a run that somebody else has made: its pipeline, and where its outputs lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Missing
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import resolve_outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import RunReader
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outcome import result_of
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import is_native
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.results import RETURN_VALUE


def pipeline_of(client: KubeflowPipelinesClient, run: Mapping[str, Any]) -> CompiledPipeline | None:
    """
    The pipeline of a run; ``None`` where the server does not tell it (any more).

    A run of a registered pipeline names its version, and has no pipeline itself.
    """
    spec = run.get("pipeline_spec")
    if not spec:
        named = run.get("pipeline_version_reference") or {}
        pipeline, version = named.get("pipeline_id"), named.get("pipeline_version_id")
        if not (pipeline and version):
            return None
        try:
            spec = client.transport.get(f"/pipelines/{pipeline}/versions/{version}").get("pipeline_spec")
        except Missing:
            return None
    try:
        return parse_pipeline(spec) if spec else None
    except InvalidStep:  # of version 1
        return None


def check_outputs(client: KubeflowPipelinesClient, run: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """
    Compare what is wanted with the pipeline of the run, before it is waited for.

    :param wanted: name → ``task.output``.
    :raises InvalidStep: the pipeline has no such outputs, or the server does not tell them; all problems at once.
    """
    pipeline = pipeline_of(client, run) if wanted else None
    if pipeline is None:
        return
    found = resolve_outputs(pipeline, wanted)
    if is_native(run):
        return
    problems = [
        Problem(
            f"`{wanted[name]}` is a parameter, and servers do not tell the values of a run's parameters",
            "name an artifact, or run the pipeline by KubeflowPipelinesRunOperator, which brings them out",
            f"outputs[{name!r}]",
        )
        for name, output in found.items()
        if output.kind == "parameter"
    ]
    if problems:
        raise InvalidStep(f"these outputs of the pipeline `{pipeline.name}` cannot be read", problems)


def told_of(client: KubeflowPipelinesClient, run_id: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """
    ``pipeline`` and ``outputs`` of a run that has succeeded.

    An output is ``None`` where nothing tells it: of a task that was skipped, or whose cached result was taken.

    :raises Missing: it is gone.
    :raises BackendUnavailable: no definite answer.
    """
    reading = RunReader(client).read(run_id)
    value = result_of(reading, wanted)["outputs"][RETURN_VALUE]["value"]
    pipeline = pipeline_of(client, reading.run)
    outputs = {name: value.get(name) for name in wanted}
    return {"pipeline": pipeline.name if pipeline else "", "outputs": outputs}
