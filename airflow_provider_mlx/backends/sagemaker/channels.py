"""
What SageMaker brings to a job and takes from it, as files: code, context, inputs, results, checkpoints.

====================  ====================================  ========================================
what                  a training job                        a processing job
====================  ====================================  ========================================
code, context         a channel each                        an input each
datasets on S3        a channel each, where a target says   an input each, where a target says so
                      so
artifacts             a channel each, while there are any   an input each, while there are any left
                      left
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

from .settings import SageMakerSettings

MAX_INPUTS: Final = {"training": 20, "processing": 10}
"""Source: the lengths of ``InputDataConfig`` and ``ProcessingInputs`` in the API reference."""

_INPUTS: Final = {"training": "/opt/ml/input/data", "processing": "/opt/ml/processing/mlx"}
CHECKPOINTS: Final = "/opt/ml/checkpoints"
RESULTS: Final = {"training": "/opt/ml/output/data/mlx", "processing": "/opt/ml/processing/mlx/results"}
WORDS: Final = {"training": "/opt/ml/output/failure", "processing": "/opt/ml/output/message"}
"""Whose first 1,024 characters come back as ``FailureReason`` or ``ExitMessage``."""
_INPUT: Final = "mlx-input-"
DATA: Final = "mlx-data-"
STAGING: Final = "sagemaker"
"""In the attempt's folder: what SageMaker has taken from a training job, until it is collected."""


@dataclass(frozen=True)
class Brought:
    """One object, or all of a folder, that is in the job's file system when the step's code runs."""

    name: str
    uri: str
    folder: str

    @property
    def path(self) -> str:
        """The file, since SageMaker keeps the last part of an object's key; of a folder, the folder."""
        return f"{self.folder}/{self.uri.rpartition('/')[2]}".rstrip("/")


def brought(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Brought]:
    """What is brought, by its channel's name; artifacts beyond the API's limit are left to the job's own client."""
    kind = settings.kind
    own = {"mlx-code": spec.bundle, "mlx-context": spec.context}
    wanted = {name: item.uri for name, item in own.items() if item is not None}
    wanted |= {f"{DATA}{number}": uri for number, uri in enumerate(datasets(spec, settings), start=1)}
    artifacts = inputs(spec)[: max(0, MAX_INPUTS[kind] - len(own) - len(datasets(spec, settings)))]
    wanted |= {f"{_INPUT}{number}": item.uri for number, item in enumerate(artifacts, start=1)}
    return {name: Brought(name, uri, f"{_INPUTS[kind]}/{name}") for name, uri in wanted.items()}


def datasets(spec: JobSpec, settings: SageMakerSettings) -> list[str]:
    """
    The datasets that SageMaker brings. One whose URI ends in ``/`` is a folder.

    They are read-only there, and nothing of them is hashed.
    """
    if settings.datasets == "client" or spec.command is not None:
        return []
    return [uri for uri in spec.datasets if uri.startswith("s3://")]


def inputs(spec: JobSpec) -> list[ObjectReference]:
    """The artifacts, each once."""
    return list({item.uri: item for item in spec.inputs}.values())


def left_out(spec: JobSpec, settings: SageMakerSettings) -> int:
    """How many artifacts are not brought."""
    return len(inputs(spec)) - sum(1 for name in brought(spec, settings) if name.startswith(_INPUT))


def mounts(spec: JobSpec, settings: SageMakerSettings) -> list[Mount]:
    """Which objects are files of the job; results and checkpoints only where it has no client, or may use none."""
    kind, alone = settings.kind, settings.by_channels_alone
    files = [one for one in brought(spec, settings).values() if one.name.startswith((_INPUT, DATA))]
    found = [Mount(uri=one.uri.rstrip("/"), path=one.path) for one in files]
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
