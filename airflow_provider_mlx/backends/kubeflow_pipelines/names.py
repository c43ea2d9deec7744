"""By what our runs are known on a server; it outlives a release."""

from __future__ import annotations

import re
import uuid
from typing import Final

from airflow_provider_mlx.step.spec import JobSpec

NAMESPACE: Final = uuid.UUID("5b1c6f0e-0a53-5c39-9d0c-2f6d3f2a7e11")
"""Of the ids of our runs: never changed, or a run that is there would be made again."""

MARK: Final = " mlx:"
"""Between the description that people read, and the digest of the request."""
DESCRIPTION_LIMIT: Final = 255
"""
Characters. The column has no length of its own in ``backend/src/apiserver/model/run.go``, so it has the database's; and
a run that cannot be stored leaves its Workflow behind.
"""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def run_id(job: str) -> str:
    """The id of a job's run: a job's name says which task instance and which attempt it is."""
    return str(uuid.uuid5(NAMESPACE, job))


def described(text: str, digest: str) -> str:
    """A run's description: what people read, shortened to what there is room for, and what it was made from."""
    tail = f"{MARK}{digest}"
    return plain(text)[: DESCRIPTION_LIMIT - len(tail)] + tail


def digest_in(description: str) -> str:
    """The digest in a run's description; empty for a run that is not ours."""
    tail = description.rpartition(MARK)[2]
    return tail if _DIGEST.fullmatch(tail) else ""


def description_of(spec: JobSpec) -> str:
    """What people read about a job's run."""
    return plain(f"Airflow: {spec.identity} · attempt {spec.attempt}".replace(" · ", ", "))


def plain(text: str) -> str:
    """One line in ASCII: what else a server's database can store depends on how it was set up."""
    return re.sub(r"\s+", " ", text.encode("ascii", "replace").decode()).strip()
