"""The policies that the package ships, put on the roles of an endpoint of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_mlx.backends.sagemaker import iam
from airflow_provider_mlx.backends.sagemaker.iam_scope import Scope
from tests.aws.endpoint import Endpoint, RolePolicies

AIRFLOW = f"arn:aws:iam::{Endpoint.account}:role/airflow"
SUBMIT = f"arn:aws:iam::{Endpoint.account}:role/mlx-submit"
JOB = f"arn:aws:iam::{Endpoint.account}:role/mlx-job"


@dataclass(frozen=True)
class Rights:
    """
    Three roles with exactly what ``init sagemaker`` writes.

    :param scope: of the targets that are tested.
    """

    scope: Scope

    def put(self, endpoint: Endpoint, *, without: str = "") -> None:
        """
        Put them on the endpoint; what was there of these roles is gone.

        :param without: a row, as ``airflow ReadStore`` or ``job ReadInputs``, that is left out.
        """
        scope, rows = self.scope, self.rows()
        documents = {
            who: iam.policy(row for row in permissions if f"{who} {row.sid}" != without)
            for who, permissions in rows.items()
        }
        roles: dict[str, RolePolicies] = {
            # who may be Airflow is the matter of where its workers run: of EC2, here
            AIRFLOW: {"policy": documents["airflow"], "trust": _of_service("ec2.amazonaws.com")},
            scope.role_arn: {"policy": documents["job"], "trust": iam.job_trust(scope)},
        }
        if scope.submit_role_arn:
            roles[scope.submit_role_arn] = {"policy": documents["submit"], "trust": iam.submit_trust(scope)}
        endpoint.put_roles(roles)

    def rows(self) -> dict[str, tuple[iam.Permission, ...]]:
        """All rows of each policy."""
        return {
            "airflow": iam.airflow_permissions(self.scope),
            "job": iam.job_permissions(self.scope),
            "submit": iam.submit_permissions(self.scope),
        }


def rights(root: str, **facts: Any) -> Rights:
    """Those of the tests' roles for an artifact root."""
    return Rights(Scope(JOB, root, region=Endpoint.region, **facts))


def _of_service(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}
