"""Wheels of local jobs: on the worker's disk, or brought from under the artifact root with the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.uris import is_within, split_uri
from airflow_provider_mlx.runtime.wheelhouse import is_archive
from airflow_provider_mlx.step.spec import JobSpec


def wheelhouse_problems(spec: JobSpec) -> list[Problem]:
    """A place from which wheels cannot be brought."""
    root = spec.outputs_uri.partition("/runs/")[0]
    if not spec.wheelhouse or split_uri(spec.wheelhouse)[0] == "file" or is_within(spec.wheelhouse, (root,)):
        return []
    return [
        Problem(
            f"{spec.wheelhouse} is brought to a local job only from under its artifact root {root}",
            "put the wheels there or on the worker's disk (`file:///…`), or leave `wheelhouse` out",
            field="wheelhouse",
        )
    ]


def wheels_to_bring(store: ObjectStore, context: Mapping[str, Any]) -> Iterator[str]:
    """The URIs of a folder's wheels, or of an archive, that a job with requirements needs from an object store."""
    environment = context.get("environment", {})
    uri = environment.get("wheelhouse") if environment.get("requirements") else ""
    if not uri or split_uri(uri)[0] == "file":
        return
    single = is_archive(uri)
    for item in store.list(uri.rpartition("/")[0] if single else uri):
        if item.uri == uri or (not single and item.uri.endswith(".whl")):
            yield item.uri
