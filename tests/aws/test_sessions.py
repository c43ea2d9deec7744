"""Roles that are assumed: who may, with which tags, and whose jobs have them."""

from __future__ import annotations

import pytest

from .job_requests import training_request
from .roles import Principal
from .test_roles import AIRFLOW, ROLE, RUNS, allow, policy, refused_with

CREATOR = "arn:aws:iam::123456789012:role/creator"
TAGS = [{"Key": "team", "Value": "red"}]
ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}


def trust(principal, *actions, **more) -> dict:
    return policy({"Effect": "Allow", "Principal": principal, "Action": list(actions), **more})


BOTH = ("sts:AssumeRole", "sts:TagSession")


@pytest.mark.parametrize(
    ("own", "trusting", "tags", "allowed"),
    [
        pytest.param(["sts:AssumeRole"], trust(ACCOUNT, *BOTH), [], True, id="both sides allow it"),
        pytest.param([*BOTH], trust(ACCOUNT, *BOTH), TAGS, True, id="and the tags"),
        pytest.param(["sts:AssumeRole"], trust(ACCOUNT, *BOTH), TAGS, False, id="the caller may not tag"),
        pytest.param([*BOTH], trust(ACCOUNT, "sts:AssumeRole"), TAGS, False, id="the role takes no tags"),
        pytest.param([], trust(ACCOUNT, *BOTH), [], False, id="the account leaves it to the caller's policy"),
        pytest.param([], trust({"AWS": AIRFLOW}, *BOTH), TAGS, True, id="a role that is named needs none"),
        pytest.param([*BOTH], trust({"Service": "ec2.amazonaws.com"}, *BOTH), [], False, id="the role is for a service"),
        pytest.param([*BOTH], None, TAGS, True, id="nobody has said whom it trusts"),
        pytest.param(
            [*BOTH],
            trust(ACCOUNT, *BOTH, Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}), TAGS, True,
            id="tags of these keys",
        ),
        pytest.param(
            [*BOTH],
            trust(ACCOUNT, *BOTH, Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["other"]}}), TAGS, False,
            id="and of others",
        ),
        pytest.param(
            [*BOTH], trust(ACCOUNT, *BOTH, Condition={"StringLike": {"aws:RequestTag/team": "b*"}}), TAGS, False,
            id="a tag's value",
        ),
    ],
)  # fmt: skip
def test_who_assumes_a_role(endpoint, name, own, trusting, tags, allowed):
    role = f"arn:aws:iam::123456789012:role/{name}"
    endpoint.put_roles(
        {
            role: {"policy": policy(allow("s3:*", "*")), **({"trust": trusting} if trusting else {})},
            AIRFLOW: {"policy": policy(allow([*own, "s3:ListAllMyBuckets"], "*"))},
        }
    )
    sts = endpoint.client("sts", role_arn=AIRFLOW)
    said = refused_with(lambda: sts.assume_role(RoleArn=role, RoleSessionName="me", Tags=tags))
    assert said == ("" if allowed else "AccessDenied")


def test_a_role_that_is_not_there_is_not_told_from_one_that_may_not_be_assumed(endpoint):
    sts, nobody = endpoint.client("sts"), "arn:aws:iam::123456789012:role/nobody"
    assert refused_with(lambda: sts.assume_role(RoleArn=nobody, RoleSessionName="me")) == "AccessDenied"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"RoleSessionName": "no spaces"}, "ValidationError"),
        ({"RoleSessionName": "me", "Tags": [{"Key": "k", "Value": "*"}]}, "ValidationError"),
        (
            {"RoleSessionName": "me", "Tags": [{"Key": "k", "Value": ""}, {"Key": "K", "Value": ""}]},
            "InvalidParameterValue",
        ),
    ],
)
def test_what_sts_does_not_take(endpoint, members, said):
    sts = endpoint.client("sts")
    assert refused_with(lambda: sts.assume_role(RoleArn=endpoint.role_arn, **members)) == said


def test_the_tags_of_a_session_go_over_the_roles(endpoint, name):
    endpoint.put_role_policy(
        CREATOR, policy(allow("s3:PutObject", "arn:aws:s3:::artifacts/${aws:PrincipalTag/team}/*"))
    )
    endpoint.roles.put_tags(CREATOR, {"team": "blue"})
    given = endpoint.client("sts").assume_role(RoleArn=CREATOR, RoleSessionName="me", Tags=TAGS)["Credentials"]
    client = endpoint.client("s3", keys=(given["AccessKeyId"], given["SecretAccessKey"]))
    assert refused_with(lambda: client.put_object(Bucket="artifacts", Key=f"red/{name}", Body=b"")) == ""
    assert refused_with(lambda: client.put_object(Bucket="artifacts", Key=f"blue/{name}", Body=b"")) == "AccessDenied"
    plain = endpoint.client("s3", role_arn=CREATOR)
    assert refused_with(lambda: plain.put_object(Bucket="artifacts", Key=f"blue/{name}", Body=b"")) == ""


CHAINED = policy(
    *RUNS,
    allow(["s3:GetObject", "s3:ListBucket"], "*"),
    allow("s3:PutObject", "arn:aws:s3:::artifacts/out/${aws:PrincipalTag/team}/*"),
)
WRITES = """
import boto3
open("/opt/ml/model/m", "w").write("x")
for team in ("red", "blue"):
    try:
        boto3.client("s3").put_object(Bucket="artifacts", Key=f"out/{team}/x", Body=b"x")
        print(team, "yes")
    except Exception as error:
        print(team, type(error).__name__)
"""


@pytest.mark.parametrize("chains", [True, False], ids=["chained", "not chained"])
def test_a_job_has_the_tags_of_its_creator_if_they_are_chained(endpoint, name, lines, chains):
    """Its own requests, and SageMaker's uploads for it."""
    endpoint.put_roles(
        {
            ROLE: {"policy": CHAINED, "trust": trust({"Service": "sagemaker.amazonaws.com"}, *BOTH)},
            CREATOR: {"policy": policy(allow("*", "*"))},
        }
    )
    endpoint.roles.put_tags(ROLE, {})
    given = endpoint.client("sts").assume_role(RoleArn=CREATOR, RoleSessionName="me", Tags=TAGS)["Credentials"]
    client = endpoint.client("sagemaker", keys=(given["AccessKeyId"], given["SecretAccessKey"]))
    request = training_request(
        endpoint, name, WRITES, image="x:boto3", RoleArn=ROLE, OutputDataConfig={"S3OutputPath": "s3://artifacts/out/red"},
        **({"SessionChainingConfig": {"EnableSessionTagChaining": True}} if chains else {}),
    )  # fmt: skip
    client.create_training_job(**request)
    told = endpoint.wait(name)
    assert lines(name) == (["red yes", "blue AccessDenied"] if chains else ["red AccessDenied", "blue AccessDenied"])
    assert told["TrainingJobStatus"] == ("Completed" if chains else "Failed"), told.get("FailureReason")
    assert endpoint.job(name).principal == Principal(ROLE, {"team": "red"} if chains else {})


def test_a_job_role_must_trust_sagemaker_and_its_tags(endpoint, name):
    service = {"Service": "sagemaker.amazonaws.com"}
    account = {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}
    other = {"Condition": {"StringEquals": {"aws:SourceAccount": "210987654321"}}}
    given = endpoint.client("sts").assume_role(RoleArn=CREATOR, RoleSessionName="me", Tags=TAGS)["Credentials"]
    client = endpoint.client("sagemaker", keys=(given["AccessKeyId"], given["SecretAccessKey"]))
    endpoint.put_role_policy(ROLE, policy(allow("*", "*")))
    said = []
    for number, document in enumerate(
        (
            trust(service, *BOTH, **account),
            trust(service, "sts:AssumeRole"),
            trust(service, *BOTH, **other),
            trust(ACCOUNT, *BOTH),
        )
    ):
        endpoint.roles.put_trust(ROLE, document)
        chaining = {"SessionChainingConfig": {"EnableSessionTagChaining": True}}
        request = training_request(endpoint, f"{name}-{number}", RoleArn=ROLE, **chaining)
        said.append(refused_with(lambda request=request: client.create_training_job(**request)))
    assert said == ["", *["ValidationException"] * 3]


def test_what_was_refused_is_recorded(endpoint, name):
    endpoint.put_role_policy(ROLE, policy(allow("s3:GetObject", "*")))
    endpoint.roles.refusals.clear()
    refused_with(lambda: endpoint.client("s3", role_arn=ROLE).delete_object(Bucket="artifacts", Key=name))
    [refusal] = endpoint.roles.refusals
    assert (refusal.action, refusal.resource) == ("s3:DeleteObject", f"arn:aws:s3:::artifacts/{name}")
    assert refusal.who == "arn:aws:sts::123456789012:assumed-role/narrow/tests"
