"""A step as a run of a one-task pipeline: the body of ``POST /runs``. Source: the published swagger, ``v2beta1Run``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.spec import JobSpec

from .ir import pipeline_spec, text_problems
from .mounts import path_in_pod
from .names import described, description_of, run_id
from .platform_spec import platform_spec, selectors
from .settings import KubeflowPipelinesSettings

LARGEST_PIPELINE: Final = 1024 * 1024
"""
Bytes. A pipeline ends in an object of etcd, which takes 1.5 MiB; a parameter of 1 MB was taken, one of 2 MB refused.
"""


def run_request(spec: JobSpec, settings: KubeflowPipelinesSettings) -> dict[str, Any]:
    """
    What is submitted for a step, as plain JSON.

    ``run`` lacks what is known later: the experiment's id, and the mark in the description (:func:`run_body`).
    ``runtime`` says whether our runtime is in the job, which then writes its result itself.

    :raises InvalidStep: the server would change or refuse it.
    """
    run: dict[str, Any] = {
        "run_id": run_id(spec.name),
        "display_name": spec.name,
        "description": description_of(spec),
        # Beside each other: the server also takes the pipeline alone, but then no platform spec.
        "pipeline_spec": {
            "pipeline_spec": pipeline_spec(spec, settings),
            "platform_spec": platform_spec(spec, settings),
        },
        "runtime_config": {"pipeline_root": settings.pipeline_root} if settings.pipeline_root else {},
        **({"service_account": settings.service_account} if settings.service_account else {}),
    }
    problems = text_problems(run["pipeline_spec"])
    problems += size_problems(run["pipeline_spec"], "shorten the command and the environment of the step")
    if problems:
        raise InvalidStep("Kubeflow Pipelines would not run this step as it stands", problems)
    return {
        "name": spec.name,
        "namespace": settings.namespace,
        "experiment": settings.experiment,
        "outputs": spec.outputs_uri,
        "runtime": spec.command is None,
        "run": run,
    }


def size_problems(pipeline: Mapping[str, Any], remedy: str, field: str = "") -> list[Problem]:
    """Whether a pipeline is larger than the cluster's store takes."""
    size = len(json.dumps(pipeline).encode())
    if size <= LARGEST_PIPELINE:
        return []
    what = f"the pipeline has {size} bytes, more than the cluster's store takes ({LARGEST_PIPELINE})"
    return [Problem(what, remedy, field)]


def run_body(request: Mapping[str, Any], *, experiment_id: str, digest: str) -> dict[str, Any]:
    """
    The body of ``POST /runs``.

    :param digest: of the request, by which a run that is there is known to be made from the same.
    """
    run = request["run"]
    return {**run, "experiment_id": experiment_id, "description": described(run["description"], digest)}


def job_problems(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[Problem]:
    """What keeps a pipeline of this target from running this step, beyond the fields of ``cannot.CANNOT``."""
    return [
        *_code_problems(spec, settings),
        *_secret_problems(spec),
        *_gpu_problems(spec, settings),
        *_selector_problems(spec, settings),
        *_setting_problems(spec, settings),
    ]


def lost_problems(request: Mapping[str, Any], run: Mapping[str, Any]) -> list[Problem]:
    """
    What of a request the server has dropped, seen in the run that it made.

    An older server that does not know a field of the platform spec drops all of it, with a 200: secrets, volumes, the
    node selector and the limit. The run's ``pipeline_spec`` then comes back without ``platform_spec``.
    """
    sent, made = request["run"].get("pipeline_spec") or {}, run.get("pipeline_spec") or {}
    if not sent.get("platform_spec") or made.get("platform_spec"):
        return []
    what = "the server dropped the Kubernetes part of the pipeline: secrets, volumes, node selector, limits"
    return [Problem(what, "the server is older than this needs: 2.14 is the oldest that was tested")]


def _code_problems(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[Problem]:
    problems = []
    if not spec.image:
        what = "the job has no image"
        problems.append(Problem(what, "set `image:` in the target, or `image=` in the step", field="image"))
    on_a_disk = spec.bundle is not None and spec.outputs_uri.startswith("file:")
    if on_a_disk and path_in_pod(spec.outputs_uri, settings) is None:
        what = f"pods do not see the artifact root of {spec.outputs_uri}"
        remedy = (
            "mount the volume that holds it: `volumes: [{claim: NAME, path: /mnt/mlx, uri: 'file:///…'}]`, or use an "
            "object store as the root"
        )
        problems.append(Problem(what, remedy, field="volumes"))
    return problems


def _secret_problems(spec: JobSpec) -> list[Problem]:
    return [
        Problem(
            f"{dict(reference)} is not a secret of Kubernetes",
            "in the target, map the name to `{name: NAME, key: KEY}` of a Secret in the run's namespace",
            field=f"secrets[{variable!r}]",
        )
        for variable, reference in spec.secrets.items()
        if sorted(reference) != ["key", "name"]
    ]


def _gpu_problems(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[Problem]:
    gpus = spec.resources.gpus
    if gpus is None or gpus.model is None or gpus.model in settings.gpus:
        return []
    known = {name.casefold(): name for name in sorted(settings.gpus)}
    near = difflib.get_close_matches(gpus.model.casefold(), list(known), 1)
    meant = f"did you mean `{known[near[0]]}`? " if near else ""
    has = f"its models are {', '.join(sorted(settings.gpus))}; or add" if settings.gpus else "add"
    add = f"`gpus: {{{gpus.model}: {{node_selector: {{nvidia.com/gpu.product: …}}}}}}`"
    return [
        Problem(f"the target has no GPU model `{gpus.model}`", f"{meant}{has} {add}", f"gpu={spec.resources.gpu!r}")
    ]


def _selector_problems(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[Problem]:
    chosen: dict[str, tuple[str, str]] = {}
    problems = []
    for origin, selector in selectors(spec, settings).items():
        for key, value in selector.items():
            before, other = chosen.setdefault(key, (origin, value))
            if other != value:
                what = f"no node has two values: `{before}` selects {key}={other}, `{origin}` selects {key}={value}"
                remedy = "take the label out of one of them, or use a target of its own"
                problems.append(Problem(what, remedy, field=f"node_selector {key}"))
    return problems


def _setting_problems(spec: JobSpec, settings: KubeflowPipelinesSettings) -> list[Problem]:
    """What a step asks for that a target may have, and this one has not; and a page's address that is none."""
    problems = settings.page_problems()
    if spec.resources.wants_spot and settings.spot is None:
        what = "the target does not say where nodes are that may be taken back"
        remedy = "add `spot: {node_selector: {…}, tolerations: […]}` to the target, or leave spot out"
        problems.append(Problem(what, remedy, field="spot=True"))
    if spec.resources.disk is not None and settings.scratch is None:
        what = "a pod of Kubeflow Pipelines cannot ask for the node's disk, and the target has no volume for it"
        remedy = "add `scratch: {storage_class: …}` to the target, so that the pod gets a volume of its own, or leave "
        problems.append(Problem(what, remedy + "disk out", field=f"disk={spec.resources.disk!r}"))
    return problems
