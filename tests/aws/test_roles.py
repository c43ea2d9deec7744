"""What jobs, and others in the name of a role, may do is what its policies say."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .errors import Unsupported
from .job_requests import channel, training_request
from .policy import Need, checked_policy, verdict
from .s3_requests import read_s3_request

ROLE = "arn:aws:iam::123456789012:role/narrow"


def refused_with(call) -> str:
    """AWS's word for a refusal; empty for none."""
    try:
        call()
    except ClientError as refused:
        return refused.response["Error"]["Code"]
    return ""


def policy(*statements: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions, resources, **more) -> dict:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


RUNS = (
    allow(["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/aws/sagemaker/*"),
    allow("ecr:*", "*"),
)
"""What every job needs: its image and its log."""
NARROW = policy(
    *RUNS,
    allow(["s3:GetObject"], ["arn:aws:s3:::artifacts/scripts/*", "arn:aws:s3:::artifacts/in/*"]),
    allow("s3:ListBucket", "arn:aws:s3:::artifacts", Condition={"StringLike": {"s3:prefix": ["in/*", "scripts/*"]}}),
    allow("s3:PutObject", "arn:aws:s3:::artifacts/out/${aws:PrincipalTag/team}/*"),
    {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::artifacts/out/blue/secret*"},
)


@pytest.fixture
def narrow(endpoint):
    endpoint.put_role_policy(ROLE, NARROW)
    endpoint.roles.put_tags(ROLE, {"team": "blue"})
    return {"RoleArn": ROLE, "OutputDataConfig": {"S3OutputPath": "s3://artifacts/out/blue"}}


TRY = """
import boto3, botocore.config, botocore.exceptions
client = boto3.client("s3", config=botocore.config.Config(retries={"total_max_attempts": 1}))

def attempt(name, **asked):
    try:
        getattr(client, name)(Bucket="artifacts", **asked)
        print(name, "yes")
    except botocore.exceptions.ClientError as error:
        print(name, error.response["Error"]["Code"])

attempt("put_object", Key="out/blue/mine", Body=b"x")
attempt("put_object", Key="out/red/theirs", Body=b"x")
attempt("put_object", Key="out/blue/secret", Body=b"x")
attempt("get_object", Key="in/missing")
attempt("list_objects_v2", Prefix="in/")
attempt("list_objects_v2", Prefix="out/")
attempt("list_objects_v2")
attempt("delete_object", Key="out/blue/mine")
attempt("delete_objects", Delete={"Objects": [{"Key": "out/blue/mine"}]})
attempt("copy_object", Key="out/blue/copy", CopySource="artifacts/out/red/theirs")
attempt("create_multipart_upload", Key="out/red/parts")
"""


def test_a_job_can_do_what_its_policy_allows(train, lines, narrow, name):
    train(TRY, image="x:boto3", **narrow)
    assert lines(name) == [
        "put_object yes", "put_object AccessDenied", "put_object AccessDenied",
        "get_object AccessDenied",  # who may not list the whole bucket does not learn that nothing is there
        "list_objects_v2 yes", "list_objects_v2 AccessDenied", "list_objects_v2 AccessDenied",
        "delete_object AccessDenied", "delete_objects AccessDenied", "copy_object AccessDenied", "create_multipart_upload AccessDenied",
    ]  # fmt: skip


def test_of_many_deletes_those_that_may_be_are(endpoint, train, lines, narrow, name, objects):
    endpoint.put_role_policy(
        ROLE, policy(*NARROW["Statement"], allow("s3:DeleteObject", f"arn:aws:s3:::artifacts/{name}/a*"))
    )
    for key in ("a1", "a2", "b"):
        endpoint.client("s3").put_object(Bucket="artifacts", Key=f"{name}/{key}", Body=b"x")
    train(
        f"""
        import boto3
        keys = [{{"Key": "{name}/" + key}} for key in ("a1", "b", "a2")]
        answer = boto3.client("s3").delete_objects(Bucket="artifacts", Delete={{"Objects": keys}})
        print(sorted(one["Key"][-2:] for one in answer["Deleted"]), [one["Code"] for one in answer["Errors"]])
        """,
        image="x:boto3",
        **narrow,
    )
    assert lines(name) == ["['a1', 'a2'] ['AccessDenied']"]
    assert objects(f"{name}/") == {"b": b"x"}


def test_other_services_need_permissions_too(train, lines, narrow, name):
    train(
        """
        import boto3
        try:
            boto3.client("sagemaker").list_training_jobs()
        except Exception as error:
            print(error)
        """,
        image="x:boto3",
        **narrow,
    )
    assert "AccessDeniedException" in lines(name)[0]
    assert "sagemaker:ListTrainingJobs" in lines(name)[0]


def test_downloads_are_under_the_role(endpoint, narrow, name):
    endpoint.client("s3").put_object(Bucket="artifacts", Key=f"hidden/{name}", Body=b"x")
    request = training_request(endpoint, name, channels=[channel("train", f"s3://artifacts/hidden/{name}")], **narrow)
    client = endpoint.client("sagemaker")
    with pytest.raises(client.exceptions.ClientError, match="s3:ListBucket"):
        client.create_training_job(**request)
    endpoint.put_role_policy(ROLE, policy(*NARROW["Statement"], allow("s3:List*", "*")))
    client.create_training_job(**request)
    assert "Data download failed:AccessDenied (403)" in endpoint.wait(name)["FailureReason"]


@pytest.mark.parametrize(
    ("lacking", "status", "printed"),
    [
        ("logs:PutLogEvents", "Completed", []),
        ("ecr:BatchGetImage", "Failed", []),
        ("logs:GetLogEvents", "Completed", ["x"]),
    ],
)
def test_the_image_and_the_log_are_under_the_role(endpoint, train, lines, name, lacking, status, printed):
    denial = {"Effect": "Deny", "Action": lacking, "Resource": "*"}
    endpoint.put_role_policy(ROLE, policy(allow("*", "*"), denial))
    endpoint.logs.emit("/aws/sagemaker/TrainingJobs", "a", [(1, "x")])
    told = train("print('x')", RoleArn=ROLE)
    assert (told["TrainingJobStatus"], lines(name)) == (status, printed)
    if status == "Failed":
        assert "Cannot pull algorithm container" in told["FailureReason"]


def test_uploads_are_under_the_role(train, narrow):
    narrow["OutputDataConfig"] = {"S3OutputPath": "s3://artifacts/out/red"}
    told = train("open('/opt/ml/model/m', 'w').write('x')", **narrow)
    assert told["TrainingJobStatus"] == "Failed"
    assert told["FailureReason"].startswith("ClientError: Artifact upload failed:AccessDenied (403)")


@pytest.mark.parametrize(
    ("statement", "need", "found"),
    [
        pytest.param(
            allow("s3:Get*", "arn:aws:s3:::b/*"), Need("s3:getobject", "arn:aws:s3:::b/k", {}), "allowed",
            id="actions know no case",
        ),
        pytest.param(
            allow("s3:GetObject", "arn:aws:s3:::b/a?c"), Need("s3:GetObject", "arn:aws:s3:::b/a/c", {}), "allowed",
            id="a question mark is any character",
        ),
        pytest.param(
            allow("*", "arn:aws:s3:::B/*"), Need("s3:GetObject", "arn:aws:s3:::b/k", {}), "not allowed",
            id="resources know case",
        ),
        pytest.param(
            allow("*", "arn:aws:s3:::b/${aws:PrincipalTag/none}/*"), Need("s3:GetObject", "arn:aws:s3:::b//k", {}),
            "not allowed", id="a variable without a value matches nothing",
        ),
        pytest.param(
            allow("*", "*", Condition={"StringEquals": {"s3:prefix": ""}}), Need("s3:ListBucket", "b", {}),
            "not allowed", id="a key that is not there is false",
        ),
        pytest.param(
            allow("*", "*", Condition={"StringNotEquals": {"s3:prefix": "a"}}), Need("s3:ListBucket", "b", {}),
            "allowed", id="unless the operator is negated",
        ),
        pytest.param(
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": False}}},
            Need("s3:ListBucket", "b", {"aws:SecureTransport": "true"}), "not allowed", id="a Deny that does not apply",
        ),
    ],
)  # fmt: skip
def test_verdicts(statement, need, found):
    assert verdict([policy(statement)], need) == found


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotResource": "*"},
        allow("*", "*", Condition={"IpAddress": {"aws:SourceIp": "1.2.3.4"}}),
    ],
)
def test_what_cannot_be_judged_is_refused(statement):
    with pytest.raises(Unsupported):
        checked_policy(policy(statement))


@pytest.mark.parametrize(
    ("method", "path", "query", "operation", "action"),
    [
        ("GET", "/b/k", "", "GetObject", "s3:GetObject"),
        ("HEAD", "/b/k", "", "HeadObject", "s3:GetObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart", "s3:PutObject"),
        ("POST", "/b/k", "uploads", "CreateMultipartUpload", "s3:PutObject"),
        ("DELETE", "/b/k", "uploadId=u", "AbortMultipartUpload", "s3:AbortMultipartUpload"),
        ("GET", "/b/k", "uploadId=u", "ListParts", "s3:ListMultipartUploadParts"),
        ("GET", "/b", "list-type=2&prefix=a", "ListObjectsV2", "s3:ListBucket"),
        ("GET", "/b/", "uploads", "ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        ("GET", "/", "", "ListBuckets", "s3:ListAllMyBuckets"),
        ("PUT", "/b", "policy", "CreateBucket policy", None),
    ],
)
def test_requests_of_s3(method, path, query, operation, action):
    request = read_s3_request(method, path, query, {}, b"")
    assert (request.operation, request.needs[0].action if request.needs else None) == (operation, action)


AIRFLOW = "arn:aws:iam::123456789012:role/airflow"
OF_AIRFLOW = policy(
    allow(["sagemaker:CreateTrainingJob", "sagemaker:AddTags"], "arn:aws:sagemaker:*:*:training-job/mlx-*"),
    allow("iam:PassRole", ROLE, Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}),
    allow("sagemaker:StopTrainingJob", "*", Condition={"StringEquals": {"aws:ResourceTag/owner": "mlx"}}),
    allow("sagemaker:ListTrainingJobs", "*"),
    allow("logs:FilterLogEvents", "arn:aws:logs:*:*:log-group:/aws/sagemaker/TrainingJobs:*"),
)


def test_airflow_may_have_a_policy_too(endpoint, narrow, name):
    """The policy of a client is judged on the resource of each call, with what the call needs besides."""
    endpoint.put_role_policy(AIRFLOW, OF_AIRFLOW)
    client = endpoint.client("sagemaker", role_arn=AIRFLOW)
    request = training_request(endpoint, f"mlx-{name}", Tags=[{"Key": "owner", "Value": "mlx"}], **narrow)
    client.create_training_job(**request)
    client.list_training_jobs()
    endpoint.wait(f"mlx-{name}")
    with pytest.raises(client.exceptions.ClientError, match="is in status Completed"):  # it may, and it is over
        client.stop_training_job(TrainingJobName=f"mlx-{name}")
    denied = {
        "sagemaker:CreateTrainingJob": lambda: client.create_training_job(**{**request, "TrainingJobName": name}),
        "iam:PassRole": lambda: client.create_training_job(**{**request, "RoleArn": endpoint.role_arn}),
        "sagemaker:DescribeTrainingJob": lambda: client.describe_training_job(TrainingJobName=f"mlx-{name}"),
        "sagemaker:StopTrainingJob": lambda: client.stop_training_job(TrainingJobName="unknown"),
    }
    for action, call in denied.items():
        with pytest.raises(client.exceptions.ClientError, match=f"AccessDeniedException.*{action}"):
            call()
    logs = endpoint.client("logs", role_arn=AIRFLOW)
    endpoint.logs.emit("/aws/sagemaker/TrainingJobs", "a", [(1, "x")])
    logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")
    with pytest.raises(logs.exceptions.ClientError, match="logs:GetLogEvents"):
        logs.get_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="a")
    assert endpoint.connection(role_arn=AIRFLOW)["login"].startswith("ASIA")
