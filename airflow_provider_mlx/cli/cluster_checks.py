"""What ``doctor`` thinks of a Kubernetes cluster: pure judgements, each with the way to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from airflow_provider_mlx.backends.kubernetes.needs import PRODUCTS, Named

from .doctor_checks import Check, Status

_OLDEST: Final = (1, 29)
"""``podReplacementPolicy`` of a Job is served from here on without a feature gate."""

ROLE: Final = "have an administrator apply the file that `python -m airflow_provider_mlx init kubernetes` writes"


def unreachable(about: str, said: str) -> Check:
    """The API server gave no answer, or the connection leads nowhere."""
    return Check(Status.FAIL, about, said, "check the connection's kubeconfig, the network, and that its token is good")


def version(about: str, found: str, users: Sequence[str]) -> Check:
    """The API server answers, and which one it is."""
    used = f"Kubernetes {found}, used by {', '.join(users)}"
    number = tuple(int(part) for part in found.lstrip("v").split(".")[:2] if part.isdigit())
    if len(number) == 2 and number < _OLDEST:
        return Check(Status.WARN, about, used, "steps need a Job's podReplacementPolicy: Kubernetes 1.29 or newer")
    return Check(Status.OK, about, used)


def namespace(name: str, exists: bool | None) -> Check:
    """Whether jobs have a namespace."""
    about = f"namespace {name}"
    if exists is None:
        return Check(Status.UNKNOWN, about, "it cannot be asked with this identity", f"kubectl get namespace {name}")
    if exists:
        return Check(Status.OK, about, "it is there")
    return Check(Status.FAIL, about, "there is none", ROLE)


def rights(name: str, allowed: Mapping[tuple[str, str], bool]) -> Check:
    """
    Whether Airflow may do what it must.

    :param allowed: (verb, resource with its group) → the API server's answer.
    """
    about, missing = f"rights in {name}", [f"{verb} {resource}" for (verb, resource), yes in allowed.items() if not yes]
    if not missing:
        return Check(Status.OK, about, f"all {len(allowed)} that its targets need")
    return Check(Status.FAIL, about, f"this identity may not: {', '.join(missing)}", ROLE)


def api(group: str, spoken: Sequence[str], served: Sequence[str], users: Sequence[str]) -> Check:
    """Whether the cluster serves an API that a target asks for."""
    about, by = f"API {group}", f"used by {', '.join(users)}"
    if common := [one for one in spoken if one in served]:
        return Check(Status.OK, about, f"{common[0]} is served; {by}")
    product = PRODUCTS[group]
    if served:
        return Check(
            Status.FAIL, about, f"it is served as {', '.join(served)}, and targets speak {', '.join(spoken)}; {by}",
            f"use a release of {product} that serves it",
        )  # fmt: skip
    return Check(Status.FAIL, about, f"nothing serves it; {by}", f"install {product}, or change the target")


def named(wanted: Named, where: str, exists: bool | None, users: Sequence[str]) -> Check:
    """
    Whether an object is there that a target names.

    :param where: the namespace; empty for an object of the whole cluster.
    """
    about = f"{wanted.kind} {wanted.name}"
    by, place = f"`{wanted.key}` of {', '.join(users)}", f" -n {where}" if where else ""
    look = f"kubectl get {wanted.plural}{f'.{wanted.group}' if wanted.group else ''} {wanted.name}{place}"
    if exists is None:
        return Check(Status.UNKNOWN, about, f"it cannot be asked with this identity; {by}", look)
    if exists:
        return Check(Status.OK, about, f"it is there; {by}")
    return Check(Status.FAIL, about, f"there is none; {by}", f"make it, or correct the target: `{look}`")
