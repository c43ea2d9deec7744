"""What ``doctor`` thinks of an AWS account: pure judgements, each with the way to mend it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from airflow_provider_mlx.backends.sagemaker.iam_scope import image_region
from airflow_provider_mlx.backends.sagemaker.settings import Kind
from airflow_provider_mlx.exceptions import MlxError

from .doctor_checks import Check, Status

POLICY: Final = "have an administrator apply the policies that `python -m airflow_provider_mlx init sagemaker` writes"
_LACKS_REGION: Final = "give the target a `region`, or the connection a region_name"


def unreachable(about: str, error: MlxError) -> Check:
    """AWS gave no answer, or takes no credentials of the connection."""
    mend = error.remedy or "check the connection, the network, and that its credentials are good"
    return Check(Status.FAIL, about, error.what, mend)


def identity(about: str, arn: str, account: str, region: str, roles: Collection[str], users: Sequence[str]) -> Check:
    """
    Who the connection is, and that its account is that of the jobs' roles.

    :param roles: ARNs; a role of another account cannot be passed.
    """
    used = f"{arn} in {region}, used by {', '.join(users)}"
    strange = sorted(role for role in roles if role.split(":")[4] != account)
    if strange:
        return Check(
            Status.FAIL, about, f"{used}; {', '.join(strange)} is of another account, where no role can be passed",
            "name a role of this account, or a connection of the other one",
        )  # fmt: skip
    return Check(Status.OK, about, used)


def allowed(about: str, what: str, refusal: MlxError | None) -> Check:
    """Whether something that was tried may be done."""
    if refusal is None:
        return Check(Status.OK, about, what)
    return Check(Status.FAIL, about, refusal.what, POLICY)


def rights(about: str, asked: int, refused: Sequence[str] | None, principal: str) -> Check:
    """
    What IAM says of all rights that Airflow's policy has.

    :param refused: ``action on resource``; ``None``: IAM may not be asked.
    """
    if refused is None:
        return Check(
            Status.UNKNOWN, about, "IAM cannot be asked with this identity (iam:SimulatePrincipalPolicy)",
            f"aws iam simulate-principal-policy --policy-source-arn {principal} --action-names "
            "sagemaker:CreateTrainingJob",
        )  # fmt: skip
    if refused:
        return Check(Status.FAIL, about, f"this identity may not: {', '.join(refused)}", POLICY)
    return Check(Status.OK, about, f"all {asked} that its targets need, as IAM simulates them")


def role(arn: str, exists: bool | None, missing: Sequence[str], users: Sequence[str]) -> Check:
    """
    Whether the jobs' role is there, and SageMaker may take it.

    :param exists: ``None``: IAM may not be asked.
    :param missing: actions that its trust policy does not allow SageMaker.
    """
    about, by = f"role {arn}", f"`role_arn` of {', '.join(users)}"
    look = f"aws iam get-role --role-name {arn.rpartition('/')[2]}"
    if exists is None:
        return Check(Status.UNKNOWN, about, f"it cannot be asked with this identity (iam:GetRole); {by}", look)
    if not exists:
        return Check(Status.FAIL, about, f"there is none; {by}", f"make it, or correct the target: `{look}`")
    if missing:
        return Check(
            Status.FAIL, about, f"its trust policy does not allow SageMaker {', '.join(missing)}; {by}",
            "put the trust policy that `init sagemaker` writes: aws iam update-assume-role-policy",
        )  # fmt: skip
    return Check(Status.OK, about, f"it is there, and SageMaker may assume it; {by}")


def bucket(name: str, found: str | None, region: str, users: Sequence[str]) -> Check:
    """Whether the artifact root is where the jobs are: from elsewhere SageMaker brings no files."""
    about, by = f"bucket {name} for {region}", f"used by {', '.join(users)}"
    if found is None:
        return Check(
            Status.UNKNOWN, about, f"its region is not told; {by}", f"aws s3api get-bucket-location --bucket {name}"
        )
    if found != region:
        return Check(
            Status.FAIL, about, f"it is in {found}, and the jobs are in {region}; {by}",
            "use a bucket of the jobs' region, or set `region` in the target",
        )  # fmt: skip
    return Check(Status.OK, about, f"it is in {region}, as the jobs are; {by}")


def image(name: str, region: str, kinds: Collection[Kind], users: Sequence[str]) -> Check:
    """Whether SageMaker can pull an image."""
    about, by = f"image {name} for {region}", f"used by {', '.join(users)}"
    found = image_region(name)
    if found is None:
        return Check(
            Status.WARN, about, f"it is not in ECR, from which SageMaker pulls images; {by}",
            "push it to ECR"
            + (
                "; training jobs in a VPC take other registries by `request_override` (TrainingImageConfig)"
                if "training" in kinds else ""
            ),
        )  # fmt: skip
    if found != region:
        return Check(
            Status.FAIL, about, f"its registry is in {found}, and the jobs are in {region}; {by}",
            f"push it to a registry in {region}, or have ECR replicate it there",
        )  # fmt: skip
    return Check(Status.OK, about, f"its registry is in {region}; {by}")


def quota_names(instances: Collection[str], kind: Kind, *, spot: bool, warm: bool) -> dict[str, str]:
    """Instance type → the name of the quota that counts it. Source: Service Quotas, as its console shows them."""
    use = "spot training job" if spot else f"{kind} job"
    found = {name: f"{name} for {use} usage" for name in instances}
    return {
        **found,
        **({f"{name} kept warm": f"{name} for training warm pool usage" for name in instances} if warm else {}),
    }


def quota(label: str, names: Mapping[str, str], found: Mapping[str, float] | None) -> Check:
    """
    Whether the account may have a target's instances.

    :param names: as :func:`quota_names` has them.
    :param found: name → how many at once; ``None``: they may not be asked.
    """
    about = f"quotas of {label}"
    if found is None or not any(name in found for name in names.values()):
        first = next(iter(names.values()), "")
        return Check(
            Status.UNKNOWN, about, "they cannot be asked with this identity (servicequotas:ListServiceQuotas)",
            "aws service-quotas list-service-quotas --service-code sagemaker --query "
            f"\"Quotas[?QuotaName=='{first}'].Value\"",
        )  # fmt: skip
    told = {what: found[name] for what, name in names.items() if name in found}
    said = ", ".join(f"{what}: {value:g}" for what, value in told.items())
    none = [what for what, value in told.items() if value == 0]
    if not none:
        return Check(Status.OK, about, said)
    mend = f"ask for more in Service Quotas, for instance of “{names[none[0]]}”"
    return Check(Status.FAIL if len(none) == len(told) else Status.WARN, about, said, mend)


def region_unknown(about: str, users: Sequence[str]) -> Check:
    """Nobody says where."""
    return Check(Status.FAIL, about, f"no region is named; used by {', '.join(users)}", _LACKS_REGION)
