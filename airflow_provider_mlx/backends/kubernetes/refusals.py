"""What the API server says when it makes no object, and what follows from it."""

from __future__ import annotations

from typing import Final

from airflow_provider_mlx.exceptions import JobMisconfigured, MlxError, QuotaExceeded

from .client import Refused

_QUOTA: Final = "exceeded quota"
"""Source: the ResourceQuota admission plugin, ``k8s.io/apiserver/pkg/admission/plugin/resourcequota``."""


def creation_error(refused: Refused, *, kind: str, namespace: str) -> MlxError:
    """The exception for a refused creation: room in a quota is waited for, everything else is for a person."""
    message = refused.message
    if refused.code == 403 and _QUOTA in message:
        return QuotaExceeded(
            f"a quota of namespace `{namespace}` is used up: {message}", remedy="have it raised, or wait longer"
        )
    if refused.code == 404:
        what = f"the cluster has no namespace `{namespace}`, or serves no {kind}: {message}"
        remedy = "check `namespace:` in the target, and that the operator behind this kind of job is installed"
    elif refused.code == 403 and "is being terminated" in message:
        what, remedy = f"the namespace `{namespace}` is being deleted: {message}", "choose another namespace"
    elif refused.code == 403 and "violates PodSecurity" in message:
        what = f"the namespace's Pod Security Standard refuses the pod: {message}"
        remedy = "remove what it names from the target, or ask for a namespace that allows it"
    elif "admission webhook" in message:
        what, remedy = f"the cluster refuses the {kind}: {message}", "this is the cluster's own rule: ask its admin"
    elif refused.code == 403:
        what = f"the connection may not make a {kind} in `{namespace}`: {message}"
        remedy = "give it the Role that `python -m airflow_provider_mlx init kubernetes` writes"
    else:
        what = f"the API server refuses the {kind}: {refused.code} {refused.reason}: {message}"
        remedy = "look at `pod_override` and the labels of the target; `plan` prints the whole manifest"
    return JobMisconfigured(what, remedy=remedy)
