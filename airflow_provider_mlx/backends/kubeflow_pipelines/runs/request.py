"""
A pipeline's run as the body of ``POST /runs``: pure. Source: the published swagger, ``v2beta1Run``.

A compiled pipeline is sent along with its run. One that is registered is named, and looked up when the run is made:
its identifiers are the server's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import parameter_problems, resolve_outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.names import description_of, run_id
from airflow_provider_mlx.backends.kubeflow_pipelines.plan import size_problems
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.spec import JobSpec

from .outputs import name_problems, with_collector
from .settings import RunSettings

RESUME: Final = "resume"
ON_RETRY: Final = ("new", RESUME)


def run_of_pipeline(spec: JobSpec, settings: RunSettings) -> dict[str, Any]:
    """
    What is submitted: all but what only the server knows, which is its experiment, and a registered pipeline's content.

    ``resumes`` has the ids of runs whose failed tasks are run again instead, if one of them is there.

    :param spec: whose manifest has the fields of the operator.
    """
    asked = spec.manifest or {}
    runtime = {"parameters": asked.get("parameters") or {}, "pipeline_root": settings.pipeline_root}
    run = {
        "run_id": run_id(spec.name),
        "display_name": str(asked.get("display_name") or spec.name),
        "description": str(asked.get("description") or description_of(spec)),
        "runtime_config": {name: value for name, value in runtime.items() if value},
        **({"service_account": settings.service_account} if settings.service_account else {}),
    }
    pipeline = asked.get("pipeline") or {}
    if "spec" in pipeline:
        changed = changed_pipeline(_compiled(pipeline), asked)
        run["pipeline_spec"] = changed.pipeline_spec
    return {
        "name": spec.name,
        "namespace": settings.namespace,
        "experiment": settings.experiment,
        "outputs": spec.outputs_uri,
        "asked": {name: asked[name] for name in ("outputs", "caching") if asked.get(name) is not None},
        **({"resumes": _earlier(spec)} if asked.get("on_retry") == RESUME and _earlier(spec) else {}),
        **({} if "spec" in pipeline else {"registered": dict(pipeline)}),
        "run": run,
    }


def _earlier(spec: JobSpec) -> list[str]:
    """The runs of the attempts before, the latest first; none of those before a clear."""
    return [run_id(spec.identity.job_name(number)) for number in range(spec.attempt - 1, spec.goes_on_since - 1, -1)]


def run_problems(spec: JobSpec, settings: RunSettings) -> list[Problem]:
    """Everything in a request that the server, or the pipeline itself, does not take."""
    asked = spec.manifest or {}
    problems = [*settings.page_problems(), *name_problems(asked.get("outputs") or {})]
    if asked.get("on_retry", "new") not in ON_RETRY:
        what = f"`{asked['on_retry']}` is none of them"
        problems.append(Problem(what, f"say one of {', '.join(ON_RETRY)}", "on_retry"))
    pipeline = asked.get("pipeline") or {}
    if "spec" not in pipeline:  # what is registered is known when the server is asked
        return problems
    try:
        compiled = _compiled(pipeline)
        problems += pipeline_problems(compiled, asked)
        changed_pipeline(compiled, asked)
    except InvalidStep as error:
        found = error.problems or [Problem(error.what, error.remedy, "pipeline")]
        problems += [one for one in found if one not in problems]
    return problems


def pipeline_problems(pipeline: CompiledPipeline, asked: Mapping[str, Any]) -> list[Problem]:
    """What a pipeline does not take."""
    remedy = "move code into images, and data into files"
    return [
        *parameter_problems(pipeline, asked.get("parameters") or {}),
        *size_problems(pipeline.pipeline_spec, remedy, "pipeline"),
    ]


def changed_pipeline(pipeline: CompiledPipeline, asked: Mapping[str, Any]) -> CompiledPipeline:
    """
    The pipeline as it is run: with or without caching, and with the task that brings its outputs out.

    :raises InvalidStep: it has no such outputs, or they cannot be brought out.
    """
    if asked.get("caching") is not None:
        pipeline = _with_caching(pipeline, bool(asked["caching"]))
    if wanted := asked.get("outputs"):
        pipeline = with_collector(pipeline, resolve_outputs(pipeline, wanted))
    return pipeline


def changes(asked: Mapping[str, Any]) -> bool:
    """Whether the pipeline does not run exactly as it was compiled."""
    return asked.get("caching") is not None or bool(asked.get("outputs"))


def _compiled(pipeline: Mapping[str, Any]) -> CompiledPipeline:
    return parse_pipeline({"pipeline_spec": pipeline["spec"], "platform_spec": pipeline.get("platform")})


def _with_caching(pipeline: CompiledPipeline, enabled: bool) -> CompiledPipeline:
    spec = copy.deepcopy(dict(pipeline.spec))
    for task in _tasks(spec):
        task["cachingOptions"] = {"enableCache": True} if enabled else {}
    return parse_pipeline({"pipeline_spec": spec, "platform_spec": pipeline.platform})


def _tasks(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for component in (spec["root"], *(spec.get("components") or {}).values()):
        yield from ((component.get("dag") or {}).get("tasks") or {}).values()
