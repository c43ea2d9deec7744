"""``doctor`` for targets on Kubernetes: what they need, asked cluster by cluster and namespace by namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_mlx.backends.kubernetes.needs import VERSIONS, Named, groups_of, objects_of, rights_of
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.exceptions import MlxError, first_line
from airflow_provider_mlx.stacks import Stack
from airflow_provider_mlx.stacks.tracking import tracking_secrets

from . import cluster_checks as checks
from .cluster_facts import ClusterFacts
from .doctor_checks import Check


@dataclass(frozen=True)
class ClusterTarget:
    """
    A target on Kubernetes.

    :param label: ``stack.target``.
    """

    label: str
    conn_id: str | None
    settings: KubernetesSettings
    needs: tuple[Named, ...]


def cluster_targets(chosen: Iterable[Stack]) -> list[ClusterTarget]:
    """The targets of stacks that run on Kubernetes."""
    return [
        ClusterTarget(
            f"{stack.name}.{name}",
            one.conn_id,
            one.settings,
            objects_of(one.settings, {**tracking_secrets(one.tracking), **one.secrets}),
        )
        for stack in chosen
        for name, candidates in stack.targets.items()
        for one in candidates
        if isinstance(one.settings, KubernetesSettings)
    ]


def look_at_clusters(chosen: Iterable[Stack]) -> Iterator[Check]:
    """Every cluster that is named, once."""
    targets = cluster_targets(chosen)
    for conn_id in dict.fromkeys(target.conn_id for target in targets):
        mine = [target for target in targets if target.conn_id == conn_id]
        about, facts = f"cluster {conn_id or 'of the environment'}", ClusterFacts(conn_id)
        try:
            yield checks.version(about, facts.version(), _labels(mine))
            yield from _apis(facts, mine)
            for name in dict.fromkeys(target.settings.namespace for target in mine):
                yield from _in_namespace(facts, name, [one for one in mine if one.settings.namespace == name])
        except MlxError as error:
            yield checks.unreachable(about, first_line(error))
        finally:
            facts.close()


def _apis(facts: ClusterFacts, targets: Sequence[ClusterTarget]) -> Iterator[Check]:
    for group in dict.fromkeys(group for target in targets for group in groups_of(target.settings)):
        users = [target for target in targets if group in groups_of(target.settings)]
        yield checks.api(group, VERSIONS[group], facts.served(group), _labels(users))


def _in_namespace(facts: ClusterFacts, name: str, targets: Sequence[ClusterTarget]) -> Iterator[Check]:
    yield checks.namespace(name, facts.exists(f"/api/v1/namespaces/{name}"))
    asked = dict.fromkeys(
        (right.group, right.resource, verb)
        for target in targets for right in rights_of(target.settings) for verb in right.verbs
    )  # fmt: skip
    allowed = {
        (verb, f"{resource}.{group}" if group else resource): facts.may(name, group, resource, verb)
        for group, resource, verb in asked
    }
    yield checks.rights(name, allowed)
    wanted = {(one.plural, one.name): one for target in targets for one in target.needs}
    for key, one in wanted.items():
        users = [target for target in targets if any((need.plural, need.name) == key for need in target.needs)]
        versions = facts.served(one.group) if one.group else ("v1",)
        if versions:  # else the API's own line has said so
            found = facts.exists(one.path(versions[0], name))
            yield checks.named(one, name if one.namespaced else "", found, _labels(users))


def _labels(targets: Iterable[ClusterTarget]) -> list[str]:
    return list(dict.fromkeys(target.label for target in targets))
