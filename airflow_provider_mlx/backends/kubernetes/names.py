"""The labels and annotations by which our objects in a cluster are known; they outlive a release."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from airflow_provider_mlx.step.spec import JobSpec

OURS: Final = "airflow-provider-mlx"
"""The prefix of our keys: a DNS subdomain, as kubernetes.io/docs/concepts/overview/working-with-objects/labels asks."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
DEPLOYMENT: Final = f"{OURS}/deployment"
STEP: Final = f"{OURS}/step"
ATTEMPT: Final = f"{OURS}/attempt"
JOB: Final = f"{OURS}/job"
"""On a job and on its pods: the job's name, so that one selector finds the pods of every kind of job."""

REQUEST_DIGEST: Final = f"{OURS}/request-digest"
STOP_REQUESTED: Final = f"{OURS}/stop-requested"
"""That we stopped the job, and why; ``status.stop_note`` has the form of the value."""
IDENTITY: Final = f"{OURS}/identity"
OUTPUTS: Final = f"{OURS}/outputs"
RESULT: Final = f"{OURS}/result"
"""Where the result of a job is that has no runtime of ours in it; see ``results.py``."""
TAGS: Final = f"{OURS}/tags"

SELECTOR: Final = f"{MANAGED_BY}={OURS}"

_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_KEY: Final = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def deployment_label(deployment_id: str) -> str:
    """A deployment's id as a label's value: any text has one."""
    return deployment_id if _VALUE.fullmatch(deployment_id) else hashlib.sha256(deployment_id.encode()).hexdigest()[:32]


def job_labels(spec: JobSpec) -> dict[str, str]:
    """Labels of a job and of its pods."""
    return {
        **tag_labels(spec.tags),
        MANAGED_BY: OURS,
        DEPLOYMENT: deployment_label(spec.identity.deployment_id),
        STEP: spec.identity.short_digest,
        ATTEMPT: str(spec.attempt),
        JOB: spec.name,
    }


def job_annotations(spec: JobSpec) -> dict[str, str]:
    """Annotations of a job: what labels are too narrow for."""
    identity = {**spec.identity.step(try_number=0, attempt=spec.attempt)}
    identity.pop("try_number")  # adoption by a later try must find the same request
    found = {IDENTITY: json.dumps(identity, sort_keys=True), OUTPUTS: spec.outputs_uri}
    if spec.tags:
        found[TAGS] = json.dumps(dict(spec.tags), sort_keys=True)
    return found


def tag_labels(tags: Mapping[str, str]) -> dict[str, str]:
    """The stack's tags as labels, which cost reports read; what is no label's key stays an annotation only."""
    return {key: label_value(value) for key, value in sorted(tags.items()) if _KEY.fullmatch(key)}


def label_value(text: str) -> str:
    """A label's value that resembles ``text``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("._-")
