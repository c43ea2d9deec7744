"""
What SageMaker brings to a job and takes from it, as files: code, context, inputs, results, checkpoints.

====================  ====================================  ========================================
what                  a training job                        a processing job
====================  ====================================  ========================================
code, context         a channel each                        an input each
artifacts             a channel each, while there are any   an input each, while there are any left
results               ``/opt/ml/output/data/mlx``           an output, straight to the attempt's folder
checkpoints           ``/opt/ml/checkpoints``, both ways    none
====================  ====================================  ========================================

Results and checkpoints go this way only where the image has no client of S3. Sources: "How Amazon SageMaker AI Provides
Training Information", "Uncompressed model output", and the API reference's ``ProcessingS3Input`` and
``ProcessingS3Output``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.runtime.protocol import Mount
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.spec import JobSpec, ObjectReference

from .settings import Kind

MAX_INPUTS: Final = {"training": 20, "processing": 10}
"""Source: the lengths of ``InputDataConfig`` and ``ProcessingInputs`` in the API reference."""

_INPUTS: Final = {"training": "/opt/ml/input/data", "processing": "/opt/ml/processing/mlx"}
CHECKPOINTS: Final = "/opt/ml/checkpoints"
RESULTS: Final = {"training": "/opt/ml/output/data/mlx", "processing": "/opt/ml/processing/mlx/results"}
WORDS: Final = {"training": "/opt/ml/output/failure", "processing": "/opt/ml/output/message"}
"""Whose first 1,024 characters come back as ``FailureReason`` or ``ExitMessage``."""
_INPUT: Final = "mlx-input-"
STAGING: Final = "sagemaker"
"""In the attempt's folder: what SageMaker has taken from a training job, until it is collected."""


@dataclass(frozen=True)
class Brought:
    """One object that is a file of the job before it starts."""

    name: str
    uri: str
    folder: str

    @property
    def path(self) -> str:
        """The file: SageMaker keeps the last part of an object's key."""
        return f"{self.folder}/{self.uri.rpartition('/')[2]}"


def brought(spec: JobSpec, kind: Kind) -> dict[str, Brought]:
    """What is brought, by its channel's name; artifacts beyond the API's limit are left to the job's own client."""
    wanted: list[tuple[str, ObjectReference | None]] = [("mlx-code", spec.bundle), ("mlx-context", spec.context)]
    artifacts = inputs(spec)[: MAX_INPUTS[kind] - len(wanted)]
    wanted += [(f"{_INPUT}{number}", item) for number, item in enumerate(artifacts, start=1)]
    found = [Brought(name, item.uri, f"{_INPUTS[kind]}/{name}") for name, item in wanted if item is not None]
    return {one.name: one for one in found}


def inputs(spec: JobSpec) -> list[ObjectReference]:
    """The artifacts, each once."""
    return list({item.uri: item for item in spec.inputs}.values())


def left_out(spec: JobSpec, kind: Kind) -> int:
    """How many artifacts are not brought."""
    return len(inputs(spec)) - sum(1 for name in brought(spec, kind) if name.startswith(_INPUT))


def mounts(spec: JobSpec, kind: Kind, *, alone: bool) -> list[Mount]:
    """
    Which objects are files of the job.

    :param alone: the job has no other way to S3; else it has this one only where its image has no client.
    """
    found = [Mount(uri=one.uri, path=one.path) for one in brought(spec, kind).values() if one.name.startswith(_INPUT)]
    folders = [Mount(uri=spec.outputs_uri, path=RESULTS[kind])]
    if kind == "training":
        folders.append(Mount(uri=checkpoints_uri(spec).rpartition("/")[0], path=CHECKPOINTS, background=True))
    return found + (folders if alone else [Mount(**folder, otherwise=True) for folder in folders])


def staging_uri(spec: JobSpec) -> str:
    """Where SageMaker puts what a training job leaves."""
    return join(spec.outputs_uri, STAGING)


def checkpoints_uri(spec: JobSpec) -> str:
    """
    Where SageMaker keeps a training job's checkpoints: the same for all attempts of a task instance, and apart from
    what the job's own client keeps there.
    """
    return join(spec.outputs_uri.rpartition("/")[0], "checkpoints", "sagemaker")
