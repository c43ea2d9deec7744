"""The names, tags and variables by which our jobs are known in SageMaker; they outlive a release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from airflow_provider_mlx.step.spec import JobSpec

PREFIX: Final = "mlx-"
"""Of every job's name: one List call finds ours, and an IAM policy can name them (``training-job/mlx-*``)."""

REQUEST_DIGEST: Final = "MLX_REQUEST_DIGEST"
"""Environment variable of a job: what it was made from, in the one answer that tells its status too."""
WHERE_SECRET: Final = "MLX_SECRET_"  # noqa: S105  (a prefix)
"""Prefix of the variables that say where a secret is (``runtime/kept_secrets.py``)."""
FAILURE_FILE: Final = "MLX_FAILURE_FILE"
"""Variable: where the runtime writes the reason of a failure; a job without it has no runtime of ours."""

_TAG: Final = "airflow-provider-mlx:"
_NOT_IN_A_TAG: Final = re.compile(r"[^\w .:/=+\-@]")
"""Source: the API reference's ``Tag``: letters, digits, spaces and ``_.:/=+-@``."""


ATTEMPT_TAG: Final = "mlx-attempt"
TASK_TAG: Final = "mlx-task"
"""Session tags: the folders of the attempt and of its task instance, as keys in the artifact root's bucket."""


def sagemaker_name(job: str) -> str:
    """What SageMaker calls a job of ours; at most 54 of its 63 characters."""
    return f"{PREFIX}{job}"


def job_of(name: str) -> str | None:
    """The job that SageMaker knows under this name; ``None`` for one that is not ours."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None


def tags(spec: JobSpec, own: Mapping[str, str]) -> list[dict[str, str]]:
    """
    The tags of a job: the stack's, the target's, and who it is for.

    :param own: the target's.
    """
    identity = {
        "deployment": spec.identity.deployment_id,
        "dag": spec.identity.dag_id,
        "run": spec.identity.run_id,
        "task": spec.identity.task_id,
        "map-index": str(spec.identity.map_index),
        "attempt": str(spec.attempt),
    }
    found = {**spec.tags, **own, **{f"{_TAG}{key}": value for key, value in identity.items()}}
    return [{"Key": tag_text(key)[:128], "Value": tag_text(value)[:256]} for key, value in sorted(found.items())]


def session_tags(spec: JobSpec) -> dict[str, str]:
    """The session tags that bind a job to its folder."""
    attempt = spec.outputs_uri.partition("://")[2].partition("/")[2]
    return {ATTEMPT_TAG: attempt, TASK_TAG: attempt.rpartition("/")[0]}


def is_tag_value(text: str) -> bool:
    """Whether a tag can have this value. Source: the API reference of AWS STS, ``Tag``."""
    return len(text) <= 256 and not _NOT_IN_A_TAG.search(text)


def tag_text(text: str) -> str:
    """The text, with a hyphen for what no tag may hold."""
    return _NOT_IN_A_TAG.sub("-", text)
