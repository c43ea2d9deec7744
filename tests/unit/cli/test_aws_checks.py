"""What doctor thinks of an AWS account: every line that is not well says how to mend it."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.cli import aws_checks as checks
from airflow_provider_mlx.cli.aws_facts import Role, trusts
from airflow_provider_mlx.cli.doctor_checks import Status
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured

ROLE = "arn:aws:iam::111122223333:role/mlx-job"
WHO = "arn:aws:sts::111122223333:assumed-role/airflow/worker"
ECR = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/ml:1"
G5 = checks.quota_names(["ml.g5.xlarge", "ml.g5.2xlarge"], "training", spot=True, warm=False)
ONE = "ml.g5.xlarge for spot training job usage"
TWO = "ml.g5.2xlarge for spot training job usage"


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        pytest.param(checks.unreachable("a", BackendUnavailable("no answer")), Status.FAIL, "no answer → check the connection", id="no answer"),
        pytest.param(checks.unreachable("a", JobMisconfigured("no region", remedy="give it one")), Status.FAIL, "no region → give it one", id="a connection without a region"),
        pytest.param(checks.identity("a", WHO, "111122223333", "eu-central-1", [ROLE], ["s.t"]), Status.OK, f"{WHO} in eu-central-1, used by s.t", id="who it is"),
        pytest.param(checks.identity("a", WHO, "444455556666", "eu-central-1", [ROLE], []), Status.FAIL, "is of another account", id="a role of another account"),
        pytest.param(checks.allowed("a", "they may be listed", None), Status.OK, "may be listed", id="what may be done"),
        pytest.param(checks.allowed("a", "", JobMisconfigured("may not do sagemaker:ListTrainingJobs")), Status.FAIL, "init sagemaker", id="what may not"),
        pytest.param(checks.rights("r", 12, [], WHO), Status.OK, "all 12", id="all rights"),
        pytest.param(checks.rights("r", 12, ["iam:PassRole on x"], WHO), Status.FAIL, "may not: iam:PassRole on x →", id="what is missing is named"),
        pytest.param(checks.rights("r", 12, None, "arn:user"), Status.UNKNOWN, "--policy-source-arn arn:user", id="rights that may not be asked"),
        pytest.param(checks.role(ROLE, None, [], ["s.t"]), Status.UNKNOWN, "aws iam get-role --role-name mlx-job", id="a role that may not be asked"),
        pytest.param(checks.role(ROLE, False, [], ["s.t"]), Status.FAIL, "there is none", id="none"),
        pytest.param(checks.role(ROLE, True, ["sts:TagSession"], ["s.t"]), Status.FAIL, "does not allow SageMaker sts:TagSession", id="a role that does not trust"),
        pytest.param(checks.role(ROLE, True, [], ["s.t"]), Status.OK, "`role_arn` of s.t", id="one that does"),
        pytest.param(checks.bucket("b", None, "eu-central-1", ["s.t"]), Status.UNKNOWN, "get-bucket-location --bucket b", id="a bucket that does not say"),
        pytest.param(checks.bucket("b", "us-east-1", "eu-central-1", ["s.t"]), Status.FAIL, "in us-east-1, and the jobs are in eu-central-1", id="one elsewhere"),
        pytest.param(checks.bucket("b", "eu-central-1", "eu-central-1", ["s.t"]), Status.OK, "as the jobs are", id="one that is there"),
        pytest.param(checks.image(ECR, "eu-central-1", ["training"], ["s.t"]), Status.OK, "in eu-central-1", id="an image of the region"),
        pytest.param(checks.image(ECR, "eu-west-1", ["training"], ["s.t"]), Status.FAIL, "push it to a registry in eu-west-1", id="one of another"),
        pytest.param(checks.image("python:3", "eu-west-1", ["training"], ["s.t"]), Status.WARN, "TrainingImageConfig", id="one that is not in ECR"),
        pytest.param(checks.image("python:3", "eu-west-1", ["processing"], ["s.t"]), Status.WARN, "push it to ECR", id="for processing jobs"),
        pytest.param(checks.quota("s.t", G5, None), Status.UNKNOWN, "list-service-quotas", id="quotas that may not be asked"),
        pytest.param(checks.quota("s.t", G5, {}), Status.UNKNOWN, ONE, id="quotas that are not among the answer"),
        pytest.param(checks.quota("s.t", G5, {ONE: 4.0, TWO: 1.0}), Status.OK, "ml.g5.xlarge: 4, ml.g5.2xlarge: 1", id="enough"),
        pytest.param(checks.quota("s.t", G5, {ONE: 4.0, TWO: 0.0}), Status.WARN, TWO, id="none of one type"),
        pytest.param(checks.quota("s.t", G5, {ONE: 0.0, TWO: 0.0}), Status.FAIL, "Service Quotas", id="none of all"),
    ],
)  # fmt: skip
def test_a_judgement(check, status, said):
    assert check.status is status
    assert said in f"{check.about}: {check.what} → {check.mend}"
    assert check.mend or status is Status.OK


@pytest.mark.parametrize(
    ("kind", "spot", "warm", "names"),
    [
        ("training", False, False, ["ml.m5.large for training job usage"]),
        ("training", True, False, ["ml.m5.large for spot training job usage"]),
        ("processing", False, False, ["ml.m5.large for processing job usage"]),
        ("training", False, True, ["ml.m5.large for training job usage", "ml.m5.large for training warm pool usage"]),
    ],
)
def test_the_names_of_quotas(kind, spot, warm, names):
    assert list(checks.quota_names(["ml.m5.large"], kind, spot=spot, warm=warm).values()) == names


@pytest.mark.parametrize(
    ("statement", "action", "holds"),
    [
        ({"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}, "sts:AssumeRole", True),
        ({"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}, "sts:TagSession", False),
        ({"Principal": {"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]}, "Action": ["sts:AssumeRole", "sts:TagSession"]}, "sts:TagSession", True),
        ({"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}, "sts:AssumeRole", False),
        ({"Principal": {"AWS": "arn:aws:iam::1:root"}, "Action": "sts:*"}, "sts:AssumeRole", False),
        ({"Principal": "*", "Action": "*"}, "sts:AssumeRole", False),
    ],
)  # fmt: skip
def test_whom_a_role_trusts(statement, action, holds):
    assert trusts(Role(ROLE, {"Statement": [{"Effect": "Allow", **statement}]}), action) is holds
    assert trusts(Role(ROLE, {"Statement": {"Effect": "Allow", **statement}}), action) is holds
    assert not trusts(Role(ROLE, {"Statement": [{"Effect": "Deny", **statement}]}), action)
