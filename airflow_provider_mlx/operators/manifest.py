"""A manifest as its author wrote it, and the targets to which it can go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, ResourceKind, ResourceSettings
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks import ResolvedStep, Stacks, StepChoice, resolve_target
from airflow_provider_mlx.stacks.stack import DEFAULT_TARGET, Target

BACKEND: Final = "kubernetes_resource"
_KEPT: Final = ("namespace", "labels", "annotations", "keep", "ttl", "console_url")
"""What a target of a cluster says that concerns a manifest too; the pod is the manifest's own."""


def parse_manifest(given: object) -> dict[str, Any]:
    """
    Read a manifest: a mapping, or YAML of one object.

    :raises InvalidStep: it is neither, or holds what JSON cannot say.
    """
    try:
        found = _documents(given) if isinstance(given, str) else [given]
        whole = [json.loads(json.dumps(one, allow_nan=False)) for one in found]
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise _refusal(f"it cannot be read: {error}", "bring a dict, YAML text, or a file's path") from None
    if len(whole) != 1:
        what = f"it holds {len(whole)} objects, and a task runs one"
        raise _refusal(what, "give every other object a task of its own, or make it part of the first")
    manifest = whole[0]
    words = [isinstance(manifest, dict) and isinstance(manifest.get(key), str) for key in ("apiVersion", "kind")]
    if not all(words):
        raise _refusal("it is no object of Kubernetes", "begin it with `apiVersion:` and `kind:`")
    return dict(manifest)


class _Loader(yaml.SafeLoader):
    """As kubectl reads YAML: what looks like a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str) -> list[Any]:
    return [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]


def _refusal(what: str, remedy: str) -> InvalidStep:
    return InvalidStep("the manifest cannot be used", [Problem(what, remedy, "manifest")])


@dataclass(frozen=True)
class Placing:
    """
    What a task says about where its object goes.

    :param conn_id: a cluster of its own: then nothing of a target counts but what the policy says about it.
    :param max_runtime: text for ``stacks.durations.parse_duration``.
    """

    dag_id: str
    task_id: str
    target: str | None = None
    conn_id: str | None = None
    namespace: str | None = None
    keep: str | None = None
    max_runtime: str | None = None


def resource_targets(stacks: Stacks, stack: str, placing: Placing, resource: ResourceKind, *, why: str) -> ResolvedStep:
    """
    The targets of an object on a stack: those of its targets that are clusters, or the task's own connection.

    :raises InvalidStep: there is neither.
    """
    choice = StepChoice(dag_id=placing.dag_id, task_id=placing.task_id, target=placing.target)
    resolved = resolve_target(stacks, stack, choice, why=why)
    if placing.conn_id is not None:
        own = Target(resolved.target, BACKEND, "the task's own `conn_id=`", conn_id=placing.conn_id)
        candidates: Sequence[Target] = [replace(own, tags=resolved.targets[0].tags)]
    else:
        candidates = [target for target in resolved.targets if isinstance(target.settings, KubernetesSettings)]
    if not candidates:
        backends = ", ".join(sorted({target.backend for target in resolved.targets}))
        raise InvalidStep(
            f"the manifest of `{placing.task_id}` has no cluster to go to",
            [Problem(
                f"the target `{resolved.target}` of stack `{stack}` runs on {backends}",
                "name a connection in `conn_id=`, or a target whose backend is kubernetes or trainer",
                "target" if placing.target or resolved.target != DEFAULT_TARGET else "conn_id",
            )],
        )  # fmt: skip
    said = {"conn_id": placing.conn_id, "namespace": placing.namespace, "keep": placing.keep}
    return replace(
        resolved,
        targets=tuple(_for_resource(target, placing, resource) for target in candidates),
        overrides=tuple(f"kubernetes.{name}" for name, value in sorted(said.items()) if value is not None),
    )


def _for_resource(target: Target, placing: Placing, resource: ResourceKind) -> Target:
    settings = target.settings.model_dump(mode="json", include=set(_KEPT)) if target.settings is not None else {}
    own = {"namespace": placing.namespace, "keep": placing.keep}
    settings |= {name: value for name, value in own.items() if value is not None}
    return replace(
        target, backend=BACKEND, image=None, secrets={}, env={}, tracking={}, python=None, wheelhouse=None,
        settings=ResourceSettings.model_validate({**settings, "resource": resource}),
        resources={"timeout": placing.max_runtime} if placing.max_runtime else {},
    )  # fmt: skip
