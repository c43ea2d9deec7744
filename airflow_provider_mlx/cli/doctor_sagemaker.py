"""``doctor`` for targets on SageMaker: what they need, asked connection by connection and region by region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_mlx.backends.sagemaker.catalogue import listed_types
from airflow_provider_mlx.backends.sagemaker.iam import Permission, airflow_permissions
from airflow_provider_mlx.backends.sagemaker.iam_scope import scope_of
from airflow_provider_mlx.backends.sagemaker.settings import Kind, SageMakerSettings
from airflow_provider_mlx.exceptions import MlxError
from airflow_provider_mlx.runtime.uris import split_uri
from airflow_provider_mlx.stacks import Artifacts, Stack, Target

from . import aws_checks as checks
from .aws_facts import AwsFacts, Role, trusts
from .doctor_checks import Check


@dataclass(frozen=True)
class AwsTarget:
    """
    A target on SageMaker.

    :param label: ``stack.target``.
    """

    label: str
    target: Target
    settings: SageMakerSettings
    artifacts: Artifacts

    @property
    def place(self) -> tuple[str | None, str]:
        """Connection and region, as the target says it."""
        return self.target.conn_id, self.settings.region


def aws_targets(chosen: Iterable[Stack]) -> list[AwsTarget]:
    """The targets of stacks that run on SageMaker."""
    return [
        AwsTarget(f"{stack.name}.{name}", one, one.settings, stack.artifacts)
        for stack in chosen
        for name, candidates in stack.targets.items()
        for one in candidates
        if isinstance(one.settings, SageMakerSettings)
    ]


def look_at_sagemaker(chosen: Iterable[Stack]) -> Iterator[Check]:
    """Every connection and region that is named, once; roles are those of an account, whatever the region."""
    targets, told = aws_targets(chosen), set()
    for conn_id, region in dict.fromkeys(target.place for target in targets):
        mine = [target for target in targets if target.place == (conn_id, region)]
        place = f" in {region}" if region else ""
        about, facts = f"AWS {conn_id or 'of the environment'}{place}", AwsFacts(conn_id, region)
        try:
            yield from _in_region(facts, about, mine)
            for arn in dict.fromkeys(target.settings.role_arn for target in mine):
                if (conn_id, arn) not in told:
                    told.add((conn_id, arn))
                    yield _role(facts, arn, [one for one in targets if one.settings.role_arn == arn])
        except MlxError as error:
            yield checks.unreachable(about, error)
        finally:
            facts.close()


def _in_region(facts: AwsFacts, about: str, targets: Sequence[AwsTarget]) -> Iterator[Check]:
    users, region = _labels(targets), facts.region
    who = facts.identity()
    roles = list(dict.fromkeys(target.settings.role_arn for target in targets))
    yield checks.identity(about, who.arn, who.account, region, roles, users)
    for kind in dict.fromkeys(target.settings.kind for target in targets):
        yield checks.allowed(f"{kind} jobs of {about}", "they may be listed", facts.refusal_of_lists(kind))
        yield checks.allowed(f"logs of {kind} jobs of {about}", "they may be read", facts.refusal_of_logs(kind))
    wanted = [
        right for arn in roles for right in _rights([one for one in targets if one.settings.role_arn == arn], region)
    ]
    asked = list({one.sid + str(one.on): one for one in wanted}.values())
    count = sum(len(one.actions) for one in asked)
    yield checks.rights(f"rights of {about}", count, facts.refused(who, asked), who.principal)
    yield from _buckets(targets, region)
    for image in dict.fromkeys(target.target.image for target in targets if target.target.image):
        mine = [one for one in targets if one.target.image == image]
        yield checks.image(str(image), region, {one.settings.kind for one in mine}, _labels(mine))
    yield from _quotas(facts, targets)


def _rights(targets: Sequence[AwsTarget], region: str) -> list[Permission]:
    """Airflow's own rows but those on the store, which the store's own line has tried, and on keys."""
    scope = scope_of(
        [target.settings for target in targets], root=targets[0].artifacts.root, region=region,
        secrets=[where for target in targets for where in target.target.secrets.values()],
    )  # fmt: skip
    return [one for one in airflow_permissions(scope) if not one.actions[0].startswith(("s3:", "kms:"))]


def _role(facts: AwsFacts, arn: str, targets: Sequence[AwsTarget]) -> Check:
    found = facts.role(arn)
    needed = ["sts:AssumeRole"]
    if any(target.settings.submit_role_arn for target in targets):
        needed.append("sts:TagSession")
    missing = [action for action in needed if not trusts(found, action)] if isinstance(found, Role) else []
    exists = None if found is None else bool(found)
    return checks.role(arn, exists, missing, _labels(targets))


def _buckets(targets: Sequence[AwsTarget], region: str) -> Iterator[Check]:
    """By the connection of the store, which need not be that of the jobs."""
    roots: dict[tuple[str | None, str], list[AwsTarget]] = {}
    for target in targets:
        scheme, bucket, _ = split_uri(target.artifacts.root)
        if scheme == "s3":
            roots.setdefault((target.artifacts.conn_id, bucket), []).append(target)
    for (conn_id, bucket), users in roots.items():
        facts = AwsFacts(conn_id, region)
        try:
            yield checks.bucket(bucket, facts.bucket_region(bucket), region, _labels(users))
        except MlxError:  # the store's own line has said why
            yield checks.bucket(bucket, None, region, _labels(users))
        finally:
            facts.close()


def _quotas(facts: AwsFacts, targets: Sequence[AwsTarget]) -> Iterator[Check]:
    """Of instance types that a target names; patterns stand for many, and are looked up as well."""
    named = {target.label: _quota_names(target) for target in targets if target.settings.instances}
    every = {name for names in named.values() for name in names.values()}
    found = facts.quotas(every) if every else None
    for label, names in named.items():
        if names:
            yield checks.quota(label, names, found)


def _quota_names(target: AwsTarget) -> dict[str, str]:
    kind: Kind = target.settings.kind
    types = [one.name for one in listed_types(target.settings.instances, kind)]
    spot = bool(target.target.resources.get("spot")) and kind == "training"
    return checks.quota_names(types, kind, spot=spot, warm=target.settings.keep_alive is not None)


def _labels(targets: Iterable[AwsTarget]) -> list[str]:
    return list(dict.fromkeys(target.label for target in targets))
