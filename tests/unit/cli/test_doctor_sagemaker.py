"""``doctor`` asks an endpoint of AWS, in the name of a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_mlx.backends.sagemaker.iam import job_trust
from airflow_provider_mlx.backends.sagemaker.iam_scope import Scope
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.cli.aws_facts import AwsFacts, Identity
from airflow_provider_mlx.cli.doctor_checks import Check, Status
from airflow_provider_mlx.cli.doctor_sagemaker import look_at_sagemaker
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.stacks import Artifacts, Stack, Target
from tests.aws.endpoint import Endpoint

CONN_ID = "mlx_doctor_tests"


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint(execute=False) as endpoint:
        yield endpoint


@pytest.fixture
def connect(endpoint, monkeypatch):
    def made(**extra: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection(**extra)))

    made()
    # moto knows no simulation, and answers so after three tries
    monkeypatch.setattr(AwsFacts, "refused", lambda self, identity, permissions: None)
    return made


@pytest.fixture
def role(endpoint):
    iam, scope = endpoint.client("iam"), Scope(endpoint.role_arn, "s3://artifacts")
    name = endpoint.role_arn.rpartition("/")[2]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(job_trust(scope)))
    yield endpoint.role_arn
    iam.delete_role(RoleName=name)


def look(*targets: SageMakerSettings, image: str = "", conn_id: str | None = CONN_ID) -> dict[str, Check]:
    """The lines on a stack with these targets, by what they are about."""
    found = {
        f"t{index}": (Target(f"t{index}", "sagemaker", "f:1:1", settings=one, conn_id=conn_id, image=image or None),)
        for index, one in enumerate(targets)
    }
    checks = list(look_at_sagemaker([Stack("prod", "f:1:1", Artifacts("s3://artifacts/mlx", CONN_ID), found)]))
    assert len({check.about for check in checks}) == len(checks), "each thing is said once"
    return {check.about: check for check in checks}


def test_what_may_be_asked_is_told_and_the_rest_is_unknown(endpoint, connect, role):
    image = f"{endpoint.account}.dkr.ecr.us-east-1.amazonaws.com/ml:1"
    found = look(
        SageMakerSettings(role_arn=role, instances=["ml.m5.large"]),
        SageMakerSettings(role_arn=role, kind="processing"), image=image,
    )  # fmt: skip
    about = f"AWS {CONN_ID}"
    assert f"in {endpoint.region}, used by prod.t0, prod.t1" in found[about].what
    for kind in ("training", "processing"):
        assert found[f"{kind} jobs of {about}"].status is Status.OK
        assert found[f"logs of {kind} jobs of {about}"].status is Status.OK
    assert found[f"role {role}"].status is Status.OK
    assert found[f"rights of {about}"].status is Status.UNKNOWN
    assert found[f"image {image} for {endpoint.region}"].status is Status.FAIL
    assert found["quotas of prod.t0"].status in (Status.UNKNOWN, Status.OK)
    assert "quotas of prod.t1" not in found, "it names no types"
    assert found[f"bucket artifacts for {endpoint.region}"].status in (Status.OK, Status.UNKNOWN)


def test_a_role_that_is_not_there_and_one_that_does_not_trust(endpoint, connect, role):
    missing = look(SageMakerSettings(role_arn=f"{role}-2"))
    assert missing[f"role {role}-2"].status is Status.FAIL
    assert "there is none" in missing[f"role {role}-2"].what
    bound = look(SageMakerSettings(role_arn=role, submit_role_arn=f"{role}-submit"))
    assert "sts:TagSession" in bound[f"role {role}"].what


def test_a_role_of_another_account(connect):
    found = look(SageMakerSettings(role_arn="arn:aws:iam::999999999999:role/x"))
    assert "is of another account" in found[f"AWS {CONN_ID}"].what


def test_regions_are_asked_one_by_one(connect, role):
    found = look(SageMakerSettings(role_arn=role), SageMakerSettings(role_arn=role, region="us-west-2"))
    assert {about for about in found if about.startswith("AWS ")} == {f"AWS {CONN_ID}", f"AWS {CONN_ID} in us-west-2"}


def test_a_connection_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", raising=False)
    settings = SageMakerSettings(role_arn="arn:aws:iam::123456789012:role/x")
    [check] = look(settings).values()
    assert check.status is Status.FAIL
    assert "cannot be read" in check.what


def test_an_account_that_gives_no_answer_is_one_line(connect, monkeypatch):
    connection = {"conn_type": "aws", "login": "x", "password": "y",
                  "extra": {"region_name": "eu-central-1", "endpoint_url": "http://127.0.0.1:9"}}  # fmt: skip
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    [check] = look(SageMakerSettings(role_arn="arn:aws:iam::123456789012:role/x")).values()
    assert check.status is Status.FAIL
    assert "no answer from s" in check.what


def test_no_target_no_line():
    stack = Stack("local", "f:1:1", Artifacts("file:///x"), {"default": (Target("default", "local", "f:1:1"),)})
    assert list(look_at_sagemaker([stack])) == []


@pytest.fixture
def answers(monkeypatch):
    """AWS whose answers are given: operation → answer, or the error that the client raises for it."""
    given: dict[str, Any] = {}
    asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation, service="sagemaker", **request):
        asked.append((operation, request))
        answer = given[operation]
        if isinstance(answer, Exception):
            raise answer
        return answer.pop(0) if isinstance(answer, list) else answer

    monkeypatch.setattr("airflow_provider_mlx.backends.sagemaker.client.AwsClient.call", call)
    return given, asked


ROLE = {"Role": {"Arn": "arn:aws:iam::1:role/team/airflow", "AssumeRolePolicyDocument": {}}}


@pytest.mark.parametrize(
    ("arn", "role", "principal"),
    [
        pytest.param("arn:aws:iam::1:user/airflow", None, "arn:aws:iam::1:user/airflow", id="a user is itself"),
        pytest.param("arn:aws:sts::1:assumed-role/airflow/worker", ROLE, "arn:aws:iam::1:role/team/airflow",
                     id="a session is of a role, whose path IAM tells"),
        pytest.param("arn:aws:sts::1:assumed-role/airflow/worker", JobMisconfigured("AccessDenied"),
                     "arn:aws:iam::1:role/airflow", id="where IAM may not be asked, it is guessed"),
    ],
)  # fmt: skip
def test_whose_rights_are_asked_for(answers, arn, role, principal):
    given, _ = answers
    given.update(get_caller_identity={"Account": "1", "Arn": arn}, get_role=role)
    assert AwsFacts(None).identity() == Identity("1", arn, principal)


def test_iam_is_asked_for_each_row_with_its_condition(answers):
    from airflow_provider_mlx.backends.sagemaker.iam import airflow_permissions

    given, asked = answers
    scope = Scope("arn:aws:iam::1:role/mlx-job", "s3://b/r", region="eu-central-1")
    rows = [row for row in airflow_permissions(scope) if row.sid in ("PassJobRole", "CreateTrainingJobs", "ReadLogs")]
    denied = {"EvalActionName": "iam:PassRole", "EvalResourceName": "r", "EvalDecision": "implicitDeny"}
    given["simulate_principal_policy"] = {"EvaluationResults": [denied, {**denied, "EvalDecision": "allowed"}]}
    refused = AwsFacts(None).refused(Identity("1", "a", "p"), rows)
    assert refused == ["iam:PassRole on r"] * 3
    requests = {tuple(request["ActionNames"]): request for _, request in asked}
    passing = requests["iam:PassRole",]
    assert passing["ContextEntries"] == [
        {
            "ContextKeyName": "iam:PassedToService", "ContextKeyValues": ["sagemaker.amazonaws.com"],
            "ContextKeyType": "string",
        }
    ]  # fmt: skip
    creating = requests["sagemaker:AddTags", "sagemaker:CreateTrainingJob"]
    assert creating["ResourceArns"] == ["arn:aws:sagemaker:eu-central-1:1:training-job/mlx-doctor"]
    given["simulate_principal_policy"] = JobMisconfigured("AccessDenied")
    assert AwsFacts(None).refused(Identity("1", "a", "p"), rows) is None


def test_quotas_are_read_page_by_page_until_all_are_found(answers):
    given, asked = answers
    given["list_service_quotas"] = [
        {"Quotas": [{"QuotaName": "other", "Value": 1.0}, {"QuotaName": "a", "Value": 2.0}], "NextToken": "x"},
        {"Quotas": [{"QuotaName": "b", "Value": 0.0}], "NextToken": "y"},
        {"Quotas": []},
    ]
    assert AwsFacts(None).quotas({"a", "b"}) == {"a": 2.0, "b": 0.0}
    assert len(asked) == 2, "the third page is not asked for"
    given["list_service_quotas"] = JobMisconfigured("AccessDeniedException")
    assert AwsFacts(None).quotas({"a"}) is None


@pytest.mark.parametrize(
    ("error", "found"),
    [(JobMisconfigured("AWS refuses get_role: NoSuchEntity: …"), False), (JobMisconfigured("AccessDenied"), None)],
)
def test_a_role_that_is_not_told(answers, error, found):
    given, _ = answers
    given["get_role"] = error
    assert AwsFacts(None).role("arn:aws:iam::1:role/x") is found
