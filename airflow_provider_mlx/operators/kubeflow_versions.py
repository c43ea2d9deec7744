"""Versions of registered pipelines: found, or uploaded once."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, Problem

SHOWN: Final = 10
"""So many versions a message names."""


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


def registered(registry: PipelineRegistry, name: str, wanted: str) -> dict[str, Any]:
    """
    A version of a registered pipeline.

    :param wanted: its name; empty for the newest.
    :raises InvalidStep: there is none.
    """
    found = registry.find_pipeline(name)
    if found is None:
        problem = Problem(
            "the server does not know it", "check its name, the namespace and the server", "pipeline_name"
        )
        raise InvalidStep(f"there is no pipeline `{name}`", [problem])
    pipeline_id = str(found["pipeline_id"])
    version = registry.find_version(pipeline_id, wanted) if wanted else next(registry.versions(pipeline_id), None)
    if version is None:
        names = [
            str(one.get("display_name") or one.get("name")) for one in islice(registry.versions(pipeline_id), SHOWN)
        ]
        remedy = f"it has {', '.join(names)}" if names else "it has none yet: upload one"
        problem = Problem("the pipeline has no such version", remedy, "version")
        raise InvalidStep(f"the pipeline `{name}` has no version `{wanted or 'latest'}`", [problem])
    return version
