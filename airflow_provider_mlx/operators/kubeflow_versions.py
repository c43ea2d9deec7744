"""Versions of registered pipelines: found, or uploaded once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep


def uploaded(
    registry: PipelineRegistry,
    pipeline: str,
    version: str,
    content: str,
    *,
    description: str,
    pauses: tuple[float, ...],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """
    A version of a pipeline, uploaded where it is missing.

    Names are unique on the server, so that what was sent without an answer is looked for, and may be sent again.

    :param pauses: seconds between the attempts.
    :raises BackendUnavailable: it is not known whether it is there.
    """
    for pause in pauses:
        try:
            return registry.ensure_version(pipeline, version, content, description=description)
        except BackendUnavailable:
            sleep(pause)
    return registry.ensure_version(pipeline, version, content, description=description)


def holds(version: dict[str, Any], pipeline: CompiledPipeline) -> bool:
    """Whether a version of somebody else's has this pipeline."""
    try:
        return parse_pipeline(version["pipeline_spec"]).pipeline_spec == pipeline.pipeline_spec
    except (KeyError, InvalidStep):
        return False
