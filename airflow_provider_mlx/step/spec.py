"""``JobSpec``: one job as a value, before any backend has translated it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .identity import TaskInstanceIdentity
from .resources import Resources


@dataclass(frozen=True)
class ObjectReference:
    """An object that a job reads: where it lies and what its bytes must hash to."""

    uri: str
    sha256: str
    size: int


@dataclass(frozen=True)
class JobSpec:
    """
    Everything about one job that does not depend on the backend.

    :param name: deterministic; the same for every process that plans this attempt.
    :param bundle: the code; ``None`` for a container command.
    :param context: the attempt's ``context.json``; ``None`` for a container command.
    :param inputs: the artifacts that the arguments refer to, for backends that bring them to the job.
    :param datasets: URIs of the datasets among the arguments, each once, for the same backends.
    :param command: the container's command; ``None`` for Python steps.
    :param manifest: an object of a cluster, brought whole, or what is asked of a pipeline, for the backend of either.
    :param image: the container image; ``None`` leaves the choice to the target.
    :param python: the interpreter in the image; ``None`` leaves the choice to the backend.
    :param resources: what the step asks for, over the target's defaults.
    :param env: plain environment variables; never a secret.
    :param secrets: environment variable → the stack's reference to a secret, resolved by the backend alone.
    :param outputs_uri: the attempt's folder in the artifact root.
    :param goes_on_since: the attempt from which on earlier work may be gone on with: a user's clear begins anew.
    :param native_limit_seconds: the backend's own limit, later than the step's deadline: ends the job when Airflow is
        gone.
    :param wheelhouse: URI from which alone the step's packages are installed.
    :param install_client: a client for the store may be installed in the job, where its image has none.
    :param tags: go on every job: team, cost centre.
    """

    identity: TaskInstanceIdentity
    attempt: int
    name: str
    outputs_uri: str
    bundle: ObjectReference | None = None
    context: ObjectReference | None = None
    inputs: tuple[ObjectReference, ...] = ()
    datasets: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    manifest: Mapping[str, Any] | None = None
    image: str | None = None
    python: str | None = None
    resources: Resources = field(default_factory=Resources)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    goes_on_since: int = 1
    native_limit_seconds: int | None = None
    wheelhouse: str = ""
    install_client: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


def request_digest(request: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a backend's request: what was submitted under a name, for adoption."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
