"""Jobs, pods and containers as an API server tells of them, in as few words as a row of a table has room for."""

from __future__ import annotations

from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.status import Seen, status_of

BACKOFF = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached"}
INDEX = "batch.kubernetes.io/job-completion-index"


def true(kind, reason="", message=""):
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def job(*conditions, kind="Job", labels=None, annotations=None, spec=None, status=None, **metadata):
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": {"name": "mlx-1", "labels": labels or {}, "annotations": annotations or {}, **metadata},
        "spec": {"template": {"spec": {"restartPolicy": "Never"}}, **(spec or {})},
        "status": {"conditions": list(conditions), **(status or {})},
    }


def pod(*containers, phase="Failed", labels=None, conditions=(), inits=(), spec=None, status=None, **metadata):
    return {
        "metadata": {"name": "mlx-1-abcde", "labels": labels or {}, **metadata},
        "spec": {"containers": [{"name": one["name"]} for one in containers] or [{"name": "step"}], **(spec or {})},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(containers),
            "initContainerStatuses": list(inits),
            **(status or {}),
        },
    }


def ended(code, reason="Error", at="2026-11-25T10:00:00Z", message=None, name="step"):
    return {
        "name": name,
        "state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at, "message": message}},
    }


def runs(name="step"):
    return {"name": name, "state": {"running": {"startedAt": "2026-11-25T10:00:00Z"}}}


def waits(reason, message="", name="step"):
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def rank(number, *containers, **fields):
    return pod(*containers, labels={INDEX: str(number)}, **fields)


def deleted(asked_at, grace=30):
    minute = f"2026-11-25T10:{asked_at:02}"
    return {"deletionTimestamp": f"{minute}:{grace:02}Z", "deletionGracePeriodSeconds": grace}


def look(value, pods=None, events=(), workload=None, kind="Job"):
    return status_of(KINDS[kind], Seen(value, pods, events, workload), stop_annotation="mlx/stop")
