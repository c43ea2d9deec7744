"""``StepDefinition``: what the DAG author asked for, rendered and read, before any stack is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlx.runtime.protocol import Arguments, Payload
from airflow_provider_mlx.step.slicing import SourceSlice


@dataclass(frozen=True)
class StepDefinition:
    """
    One step: what runs. Where it runs, and on how much hardware, is ``StepChoice``'s, and after it the target's.

    :param payload: what the runtime runs; ``None`` for a container command.
    :param source: the slice of a DAG file's function.
    :param files: further files of the user's, by their path on the job's ``sys.path``.
    :param command: a container's command.
    :param manifest: an object of a cluster, brought whole; or what is asked of a pipeline that is there already.
    :param arguments: in wire form.
    :param requirements: what must be installed besides the image's packages.
    :param replace: protected packages that the requirements may replace.
    :param secrets: environment variable → logical name, which the target maps.
    :param return_types: dotted names of what the function's annotation says that it returns, as far as they are known;
        several where it names outputs.
    :param origin: file and line of the step, for messages.
    """

    payload: Payload | None = None
    source: SourceSlice | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    manifest: Mapping[str, Any] | None = None
    arguments: Arguments = field(default_factory=lambda: Arguments(args=[], kwargs={}))
    requirements: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    multiple_outputs: bool = False
    return_types: tuple[str, ...] = ()
    origin: str = ""
    warnings: tuple[str, ...] = ()
