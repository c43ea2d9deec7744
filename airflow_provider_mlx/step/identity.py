"""
Who a job is: the same task instance always gets the same names, on every machine and in every process.

Names, ledgers and references outlive a release, so the scheme carries a version letter (:data:`SCHEME`).
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.runtime.protocol import StepIdentity

NO_DEPLOYMENT: Final = "default"
"""The deployment's name in identities where ``[mlx] deployment_id`` is not set: local jobs only."""

SCHEME: Final = "a"
"""Version letter of the name scheme; a change of the rules below is a new letter."""

JOB_NAME_LIMIT: Final = 50
"""
Kubernetes and SageMaker take 63 characters (an RFC 1123 label), and a host name of a multi-node job is its name and up
to 13 more, as ``-node-0-123`` of a JobSet.
"""

_DIGEST_LENGTH: Final = 16
"""Hex digits of the identity's digest in a job's name: 64 bits, a collision in 2³² task instances."""

_SEGMENT_LIMIT: Final = 100


@dataclass(frozen=True)
class TaskInstanceIdentity:
    """
    One task instance, whatever its try.

    :param deployment_id: which Airflow this is; two Airflows on one artifact root must differ here.
    :param map_index: -1 for a task that is not mapped.
    """

    deployment_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the scheme and all fields, unambiguous (JSON), so that no two identities share it."""
        fields = [SCHEME, self.deployment_id, self.dag_id, self.run_id, self.task_id, self.map_index]
        return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()

    @property
    def short_digest(self) -> str:
        """The part of the digest that stands in job names and labels."""
        return self.digest[:_DIGEST_LENGTH]

    @property
    def folder(self) -> str:
        """Where the ledger of all attempts lies, relative to the artifact root."""
        parts = (self.deployment_id, self.dag_id, self.run_id, self.task_id, str(self.map_index))
        return "/".join(("runs", *map(path_segment, parts)))

    def attempt_folder(self, attempt: int) -> str:
        """The ledger of one attempt, relative to the artifact root."""
        return f"{self.folder}/attempt-{attempt}"

    def job_name(self, attempt: int, *, limit: int = JOB_NAME_LIMIT) -> str:
        """
        The job's name on its backend: a slug that people can read, the digest, and the attempt's number.

        Lower-case letters, digits and hyphens, first a letter, last a letter or digit: valid everywhere.
        """
        tail = f"-{SCHEME}{self.short_digest}-{attempt}"
        head = f"{slug(self.dag_id)}-{slug(self.task_id)}".strip("-")
        return (head[: limit - len(tail)].strip("-") or "step") + tail

    def step(self, *, try_number: int, attempt: int) -> StepIdentity:
        """The identity as ``context.json``, ``result.json`` and ``error.json`` hold it."""
        return {
            "deployment_id": self.deployment_id,
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
            "try_number": try_number,
            "attempt": attempt,
            "job": self.job_name(attempt),
        }

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"step `{self.task_id}{mapped}` of `{self.dag_id}` in run `{self.run_id}`"


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens that resemble ``text``; empty if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-").lstrip("0123456789-")


def path_segment(text: str) -> str:
    """
    One folder's name that every object store and file system takes, different for different texts.

    Plain short names stay as they are; anything else becomes a readable part and a digest. So do the names of folders
    of ours: in the policies of some clouds a wild card spans whole paths (``runs/*/checkpoints/*``).
    """
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", text) or text == "-1"
    if plain and not re.fullmatch(r"checkpoints|attempt-.*", text):
        return text
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[: _SEGMENT_LIMIT - 18].strip("_.-")
    # "@" never stands in a name that is kept as it is, so the two kinds cannot meet
    return f"{readable}@{hashlib.sha256(text.encode()).hexdigest()[:16]}"
