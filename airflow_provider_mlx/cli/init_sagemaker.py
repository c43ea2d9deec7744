"""What ``init sagemaker`` writes: a stack file, and the IAM policies that an administrator of the account applies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.backends.sagemaker.catalogue import list_problems
from airflow_provider_mlx.backends.sagemaker.iam import (
    airflow_permissions,
    job_permissions,
    job_trust,
    policy,
    submit_permissions,
    submit_trust,
)
from airflow_provider_mlx.backends.sagemaker.iam_scope import Scope, check_scope
from airflow_provider_mlx.backends.sagemaker.settings import Keys, Kind, Network, SageMakerSettings
from airflow_provider_mlx.exceptions import InvalidStep, Problem

STACK: Final = "sagemaker"
"""Name of the stack."""
ACCOUNT: Final = "111122223333"
"""AWS's own example of an account, where none is named."""
ROLE: Final = "mlx-job"

AIRFLOW_POLICY: Final = "mlx-sagemaker-airflow-policy.json"
JOB_POLICY: Final = "mlx-sagemaker-job-policy.json"
JOB_TRUST: Final = "mlx-sagemaker-job-trust.json"
SUBMIT_POLICY: Final = "mlx-sagemaker-submit-policy.json"
SUBMIT_TRUST: Final = "mlx-sagemaker-submit-trust.json"

_SECRET: Final = re.compile(r"(?P<logical>[^=]+)=(?P<service>secretsmanager|ssm):(?P<name>[^#]+)(?:#(?P<key>.+))?")


@dataclass(frozen=True)
class SageMakerWish:
    """
    What was asked for.

    :param role_arn: the role that jobs run as.
    :param kind: of the target ``default``; that of ``gpu`` is always training.
    :param region: empty for the connection's.
    :param instances: of the target ``default``, in the order of preference.
    :param allowed: prefixes of datasets outside the root.
    :param secrets: logical name → where it is, as a target says it.
    :param any_client: some image has no client of S3 that creates conditionally.
    """

    role_arn: str = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
    submit_role_arn: str = ""
    kind: Kind = "training"
    region: str = ""
    instances: Sequence[str] = ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge")
    conn_id: str = "aws_default"
    image: str = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/ml:1"
    root: str = "s3://my-bucket/mlx"
    root_conn_id: str = ""
    allowed: Sequence[str] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    subnets: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    volume_key: str = ""
    output_key: str = ""
    any_client: bool = False

    @property
    def scope(self) -> Scope:
        """What the policies are for: both targets use one role."""
        return Scope(
            role_arn=self.role_arn, root=self.root, region=self.region or "*", submit_role_arn=self.submit_role_arn,
            kinds=("training",) if self.kind == "training" else ("training", "processing"),
            allowed=tuple(self.allowed), images=(self.image,),
            secrets=tuple(
                f"{service}:{one[service]}"
                for one in self.secrets.values() for service in ("secretsmanager", "ssm") if service in one
            ),
            volume_key=self.volume_key, output_key=self.output_key, vpc=bool(self.subnets), any_client=self.any_client,
        )  # fmt: skip


def role_arn_of(account: str, region: str) -> str:
    """The role of an account that is named by nothing else."""
    start = region.partition("-")[0]
    partition = {"cn": "aws-cn"}.get(start, "aws-us-gov" if region.startswith("us-gov-") else "aws")
    return f"arn:{partition}:iam::{account or ACCOUNT}:role/{ROLE}"


def parse_secrets(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """
    ``--secret hf=secretsmanager:hugging-face#token`` as a target's ``secrets``.

    :raises InvalidStep: one is not of this form.
    """
    found: dict[str, dict[str, str]] = {}
    for text in given:
        match = _SECRET.fullmatch(text)
        if match is None:
            raise InvalidStep(
                f"`--secret {text}` names no secret",
                remedy="write NAME=secretsmanager:SECRET, NAME=secretsmanager:SECRET#KEY or NAME=ssm:PARAMETER",
            )
        key = {"key": match["key"]} if match["key"] else {}
        found[match["logical"]] = {match["service"]: match["name"], **key}
    return found


def check(wish: SageMakerWish) -> None:
    """
    Whether a target and policies can be made of this.

    :raises InvalidStep: the role, the root, an instance type or the network is none; all problems at once.
    """
    problems = list_problems(wish.instances, wish.kind, "--instance")
    if bool(wish.subnets) != bool(wish.security_groups):
        problems.append(
            Problem("a VPC is subnets and security groups", "name both", field="--subnet, --security-group")
        )
    try:
        SageMakerSettings(
            role_arn=wish.role_arn, submit_role_arn=wish.submit_role_arn or None, kind=wish.kind,
            keys=Keys(volume=wish.volume_key, output=wish.output_key), vpc=_vpc(wish),
        )  # fmt: skip
        check_scope(wish.scope)
    except ValueError:
        problems.append(
            Problem(
                f"{wish.role_arn} or {wish.submit_role_arn or 'another ARN'} names no role",
                "write arn:aws:iam::ACCOUNT:role/NAME", field="--role-arn, --submit-role-arn",
            )
        )  # fmt: skip
    except InvalidStep as error:
        problems += error.problems
    if problems:
        raise InvalidStep("no target can be made of this", problems)


def documents(wish: SageMakerWish) -> dict[str, str]:
    """File name → policy, as JSON that people read before they apply it."""
    scope = wish.scope
    found: dict[str, Any] = {
        AIRFLOW_POLICY: policy(airflow_permissions(scope)),
        JOB_POLICY: policy(job_permissions(scope)),
        JOB_TRUST: job_trust(scope),
    }
    if wish.submit_role_arn:
        found |= {SUBMIT_POLICY: policy(submit_permissions(scope)), SUBMIT_TRUST: submit_trust(scope)}
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in found.items()}


def stack_file(wish: SageMakerWish) -> str:
    """The stack file, which loads as it is."""
    artifacts = [f"root: {_quoted(wish.root)}"]
    artifacts += [f"conn_id: {_quoted(wish.root_conn_id)}"] if wish.root_conn_id else []
    artifacts += [f"allowed: {_flow(wish.allowed)}"] if wish.allowed else []
    return f"""\
# Where steps run. Data only: connection ids, never secrets; no templates. Reference: docs/guides/stacks.md,
# docs/reference/sagemaker-target.md. Airflow reads it from [mlx] stacks_files, or beside the DAGs.
default: {STACK}

stacks:
  {STACK}:
    artifacts: {{{", ".join(artifacts)}}}
    targets:
      default:
        backend: sagemaker
{_common(wish)}
        kind: {wish.kind}
        instances: {_flow(wish.instances)}   # in the order of preference
{_secrets(wish)}
        # Its own network only: SageMaker alone brings and takes files.
        # network_isolation: true
        resources: {{cpu: 2, memory: 4Gi}}   # where a step says nothing
        max_runtime: 4h
      gpu:                     # `target="gpu"`; the first that has instances in time is taken
        - backend: sagemaker   # spot instances cost less, and may be taken back: save checkpoints
{_common(wish, indent=10)}
          kind: training
          instances: ["ml.g6.*", "ml.g5.*"]
          resources: {{gpu: 1, spot: true}}
          max_runtime: 8h
          max_wait: 16h        # waiting and running together, of the job itself
          give_up_pending_after: 30m
        - backend: sagemaker
{_common(wish, indent=10)}
          kind: training
          instances: ["ml.g6.*", "ml.g5.*"]
          resources: {{gpu: 1}}
          max_runtime: 8h
          # The instances of a finished job wait so long for the next one, and are paid for:
          # keep_alive: 15m
"""


def next_steps(wish: SageMakerWish, *, stack: Path, deployment_id: str) -> list[str]:
    """What a person does with the files, in order."""
    defaults, folder = SageMakerWish(), stack.parent
    steps = []
    if wish.root == defaults.root:
        steps.append(f"in {stack.name} and the policies, put your own bucket for {wish.root}, or name it with `--root`")
    if f":{ACCOUNT}:" in wish.role_arn:
        steps.append(f"put your own account for {ACCOUNT}, or name it with `--account`")
    if wish.image == defaults.image:
        steps.append(f"in {stack.name}, put your own image for {wish.image}: Python 3.9 or newer")
    steps += _roles(wish, folder)
    region = f', "region_name": "{wish.region}"' if wish.region else ""
    steps.append(
        f"make the connection `{wish.conn_id}` of type aws, unless it is there: airflow connections add {wish.conn_id} "
        f"--conn-type aws --conn-extra '{{{region.removeprefix(', ')}}}'"
    )
    if not deployment_id:
        steps.append("name this Airflow, for good: AIRFLOW__MLX__DEPLOYMENT_ID=prod-eu")
    steps.append(f"tell Airflow of the stack: AIRFLOW__MLX__STACKS_FILES={stack}, or put it beside your DAGs")
    steps.append("look again where workers run: python -m airflow_provider_mlx doctor")
    return [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]


def _roles(wish: SageMakerWish, folder: Path) -> list[str]:
    """How an administrator makes the roles; a role that is there keeps what it has."""
    made = [("the jobs' role", wish.role_arn, JOB_TRUST, JOB_POLICY)]
    if wish.submit_role_arn:
        made.append(("the role that creates jobs", wish.submit_role_arn, SUBMIT_TRUST, SUBMIT_POLICY))
    steps = []
    for what, arn, trust, rights in made:
        *path, name = arn.partition(":role/")[2].split("/")
        where = f" --path /{'/'.join(path)}/" if path else ""
        steps.append(
            f"read {trust} and {rights}, and have an administrator make {what}:\n"
            f"     aws iam create-role --role-name {name}{where} "
            f"--assume-role-policy-document file://{folder / trust}\n"
            f"     aws iam put-role-policy --role-name {name} --policy-name mlx "
            f"--policy-document file://{folder / rights}"
        )
    steps.append(
        f"give {AIRFLOW_POLICY} to the role of Airflow's workers and triggerers (for a user: put-user-policy):\n"
        f"     aws iam put-role-policy --role-name <its name> --policy-name mlx-sagemaker "
        f"--policy-document file://{folder / AIRFLOW_POLICY}"
    )
    return steps


def _common(wish: SageMakerWish, *, indent: int = 8) -> str:
    lines = [f"conn_id: {_quoted(wish.conn_id)}", f"role_arn: {_quoted(wish.role_arn)}"]
    lines += [f"submit_role_arn: {_quoted(wish.submit_role_arn)}"] if wish.submit_role_arn else []
    lines += [f"region: {_quoted(wish.region)}"] if wish.region else []
    lines.append(f"image: {_quoted(wish.image)}")
    if wish.subnets:
        lines.append(f"vpc: {{subnets: {_flow(wish.subnets)}, security_groups: {_flow(wish.security_groups)}}}")
    keys = {"volume": wish.volume_key, "output": wish.output_key}
    if any(keys.values()):
        said = ", ".join(f"{name}: {_quoted(key)}" for name, key in keys.items() if key)
        lines.append(f"keys: {{{said}}}")
    return "\n".join(f"{' ' * indent}{line}" for line in lines)


def _secrets(wish: SageMakerWish) -> str:
    if wish.secrets:
        said = {name: dict(where) for name, where in wish.secrets.items()}
        return f"        secrets: {json.dumps(said, ensure_ascii=False)}"
    return (
        '        # What a step calls `secrets={"HF_TOKEN": "hf"}`. The job fetches it: name it with `--secret`, so\n'
        "        # that the job policy allows it.\n"
        "        # secrets: {hf: {secretsmanager: hugging-face, key: token}}"
    )


def _vpc(wish: SageMakerWish) -> Network | None:
    if not wish.subnets:
        return None
    return Network(subnets=tuple(wish.subnets), security_groups=tuple(wish.security_groups))


def _quoted(text: str) -> str:
    """Any text as YAML, which takes JSON's strings."""
    return json.dumps(text, ensure_ascii=False)


def _flow(texts: Sequence[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)
