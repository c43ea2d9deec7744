"""The rights that SageMaker's backend needs, from its own tables of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from docstrings import cell, table

from airflow_provider_mlx.backends.sagemaker import iam
from airflow_provider_mlx.backends.sagemaker.iam_scope import Scope
from airflow_provider_mlx.backends.sagemaker.names import ATTEMPT_TAG, TASK_TAG

_ACCOUNT = "111122223333"
_PLAIN = Scope(
    f"arn:aws:iam::{_ACCOUNT}:role/mlx-job", "s3://my-bucket/mlx", region="eu-central-1", allowed=("s3://lake/",)
)
_BOUND = replace(_PLAIN, submit_role_arn=f"arn:aws:iam::{_ACCOUNT}:role/mlx-submit")
_FULL = replace(
    _PLAIN, kinds=("training", "processing"), removes_records=True, vpc=True, volume_key="my-key", output_key="my-key",
    secrets=("secretsmanager:hugging-face", "ssm:/ml/hf"),
)  # fmt: skip
_SHOWN = (
    ("arn:aws:s3:::my-bucket/mlx", "ROOT"),
    ("arn:aws:s3:::", ""),
    (f":eu-central-1:{_ACCOUNT}:", ":"),
    (f"arn:aws:iam::{_ACCOUNT}:", ""),
    ("arn:aws:", ""),
)
"""How an ARN is shortened: by its parts that every reader knows."""


def sagemaker_iam() -> str:
    """Every row of every policy, with its reason."""
    sizes = {
        "Airflow's": iam.characters(iam.policy(iam.airflow_permissions(_FULL))),
        "the job's": iam.characters(iam.policy(iam.job_permissions(_FULL))),
    }
    return "\n".join(
        [
            "\n# IAM policies for SageMaker\n\n"
            "What `python -m airflow_provider_mlx init sagemaker` writes, row by row. Here the artifact root is "
            f"`s3://my-bucket/mlx` (`ROOT`), the account {_ACCOUNT}, the region eu-central-1; ARNs are shortened. "
            "[Steps on SageMaker](../guides/sagemaker.md#rights) says how they are applied.\n",
            "## Airflow's own policy\n\nOf the identity of workers and triggerers. It reads no secret, and it makes, "
            "stops and reads jobs whose names begin with `mlx-`.\n",
            _table(_union(iam.airflow_permissions, (_FULL, _BOUND))),
            "`doctor` asks for three things more where it may, and says `unknown` where it may not: `iam:GetRole` on "
            "the job's role, `iam:SimulatePrincipalPolicy` on Airflow's own identity, and "
            "`servicequotas:ListServiceQuotas`.\n",
            "## The job's policy\n\nOf `role_arn`: what the job's code may do, and SageMaker for it.\n",
            _table(_union(iam.job_permissions, (_PLAIN, _FULL))),
            "### By pattern, and bound to the attempt\n\n"
            "Without `submit_role_arn` the names of objects decide: a job may write where *any* attempt writes. Where "
            "all targets are of `kind: training` it cannot overwrite the results that are there, but it can write "
            "where another attempt has not yet, overwrite what SageMaker has uploaded for another job (`sagemaker/`), "
            "and delete checkpoints of any task instance. With `submit_role_arn` the session's tags decide, and a job "
            "writes in the folder of its own attempt alone, and in its own task instance's checkpoints. Processing "
            "jobs have no session tags. [Security](../security.md#what-does-not-hold) has what neither prevents.\n",
            table(
                ("", "by pattern", "bound"),
                [
                    ("attempt", *(f"`{_short(one.attempt_arn(ATTEMPT_TAG))}`" for one in (_PLAIN, _BOUND))),
                    ("task instance", *(f"`{_short(one.task_arn(TASK_TAG))}`" for one in (_PLAIN, _BOUND))),
                ],
            ),
            "## The role that creates jobs\n\nOf `submit_role_arn`, and of nothing else.\n",
            _table(iam.submit_permissions(_BOUND)),
            "## Who may assume the roles\n\nThe job's, and that which creates jobs:\n",
            _json(iam.job_trust(_PLAIN)),
            _json(iam.submit_trust(_BOUND)),
            "The account stands for whom IAM allows it there: Airflow's policy has that row. With `submit_role_arn` "
            "the job's role also allows SageMaker `sts:TagSession`.\n",
            "## Sizes\n\nWith everything that is above, "
            + ", ".join(f"{who} policy has {size:,} characters" for who, size in sizes.items())
            + f". IAM takes {iam.INLINE_CHARACTERS:,} as inline policies of a role, and "
            f"{iam.MANAGED_CHARACTERS:,} as a managed policy.\n",
        ]
    )


def _union(rows: Callable[[Scope], Sequence[iam.Permission]], scopes: Iterable[Scope]) -> list[iam.Permission]:
    """Rows of several scopes, those of one name once."""
    found: dict[str, iam.Permission] = {}
    for scope in scopes:
        for one in rows(scope):
            found.setdefault(one.sid, one)
    return list(found.values())


def _table(rows: Iterable[iam.Permission]) -> str:
    return table(
        ("row", "actions", "on", "where", "why"),
        [
            (
                f"`{one.sid}`",
                ", ".join(f"`{action}`" for action in sorted(one.actions)),
                _places(one.on) + "".join(_condition(one)),
                cell(one.where) or "always",
                cell(one.why),
            )
            for one in rows
        ],
    )


def _places(arns: Iterable[str]) -> str:
    """Those of one folder together."""
    folders: dict[str, list[str]] = {}
    for arn in map(_short, arns):
        head, folder, name = arn.rpartition("attempt-*/")
        folders.setdefault(f"{head}{folder}", []).append(name)
    said = []
    for folder, names in folders.items():
        listed = ", ".join(f"`{name}`" for name in names)
        said.append(f"below `{folder}`: {listed}" if folder else listed)
    return "; ".join(said)


def _condition(row: iam.Permission) -> Iterable[str]:
    for operator, block in row.condition.items():
        for key, value in block.items():
            said = value if isinstance(value, str) else ", ".join(value)
            yield f" if {operator} `{key}`: `{said}`"


def _short(arn: str) -> str:
    for long, short in _SHOWN:
        arn = arn.replace(long, short)
    return arn


def _json(document: dict[str, object]) -> str:
    return f"```json\n{json.dumps(document, indent=2)}\n```\n"
