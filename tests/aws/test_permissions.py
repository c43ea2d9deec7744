"""What requests bring to be judged: conditional writes, and the ARNs of secrets."""

from __future__ import annotations

import pytest

from .s3_requests import read_s3_request
from .test_roles import ROLE, allow, policy, refused_with


@pytest.mark.parametrize(
    ("method", "query", "headers", "context"),
    [
        pytest.param(
            "PUT", "", {"if-none-match": "*"}, {"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"},
            id="an object, unless there is one",
        ),
        pytest.param("PUT", "", {}, {"s3:ObjectCreationOperation": "true"}, id="an object"),
        pytest.param(
            "PUT", "", {"if-match": "tag"}, {"s3:ObjectCreationOperation": "true", "s3:if-match": "tag"},
            id="an object in the place of one that is known",
        ),
        pytest.param("PUT", "", {"x-amz-copy-source": "/b/x"}, {"s3:ObjectCreationOperation": "true"}, id="a copy"),
        pytest.param("POST", "uploads", {}, {"s3:ObjectCreationOperation": "false"}, id="an upload in parts begins"),
        pytest.param("PUT", "partNumber=1&uploadId=u", {}, {"s3:ObjectCreationOperation": "false"}, id="a part"),
        pytest.param(
            "PUT", "partNumber=1&uploadId=u", {"x-amz-copy-source": "/b/x"}, {"s3:ObjectCreationOperation": "false"},
            id="a part that is a copy",
        ),
        pytest.param(
            "POST", "uploadId=u", {"if-none-match": "*"},
            {"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"}, id="the parts become an object",
        ),
    ],
)  # fmt: skip
def test_what_a_write_brings_to_be_judged(method, query, headers, context):
    need = read_s3_request(method, "/b/k", query, headers, b"").needs[0]
    assert (need.action, need.context) == ("s3:PutObject", context)


ONCE = policy(
    allow("s3:PutObject", "arn:aws:s3:::artifacts/once/*", Condition={"Null": {"s3:if-none-match": "false"}}),
    allow("s3:PutObject", "arn:aws:s3:::artifacts/once/*", Condition={"Bool": {"s3:ObjectCreationOperation": "false"}}),
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html, the first example."""


def test_a_policy_can_ask_for_conditional_writes(endpoint, name):
    endpoint.put_role_policy(ROLE, ONCE)
    s3, where = endpoint.client("s3", role_arn=ROLE), {"Bucket": "artifacts", "Key": f"once/{name}"}

    def in_parts(**condition):
        upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
        part = s3.upload_part(**upload, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return s3.complete_multipart_upload(**upload, MultipartUpload=parts, **condition)

    said = [
        refused_with(lambda: s3.put_object(**where, Body=b"x")), refused_with(in_parts),
        refused_with(lambda: s3.put_object(**where, Body=b"x", IfNoneMatch="*")),
        refused_with(lambda: in_parts(IfNoneMatch="*")),
    ]  # fmt: skip
    assert said == ["AccessDenied", "AccessDenied", "", "PreconditionFailed"]


# --- secrets -----------------------------------------------------------------------------------------------------------


def test_secrets_are_judged_by_their_arns(endpoint, name):
    keeper, store = endpoint.client("secretsmanager"), endpoint.client("ssm")
    arn = keeper.create_secret(Name=name, SecretString="x")["ARN"]
    keeper.create_secret(Name=f"{name}-2", SecretString="x")
    for parameter in (f"/ml/{name}", f"/other/{name}"):
        store.put_parameter(Name=parameter, Value="x", Type="String")
    assert arn.startswith(f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-"), arn
    assert len(arn.rpartition("-")[2]) == 6, "six random characters"
    own = f"arn:aws:secretsmanager:*:*:secret:{name}-??????"
    parameters = "arn:aws:ssm:*:*:parameter/ml/*"
    endpoint.put_role_policy(
        ROLE, policy(allow(["secretsmanager:GetSecretValue", "ssm:GetParameter"], [own, parameters]))
    )
    keeper, store = endpoint.client("secretsmanager", role_arn=ROLE), endpoint.client("ssm", role_arn=ROLE)
    said = {
        named: refused_with(lambda named=named: keeper.get_secret_value(SecretId=named))
        for named in (name, arn, arn[:-7], f"{name}-2", "no-such-secret")
    }
    assert list(said.values()) == ["", "", "", "AccessDeniedException", "AccessDeniedException"]
    assert refused_with(lambda: keeper.list_secrets()) == "AccessDeniedException"
    assert refused_with(lambda: store.get_parameter(Name=f"/ml/{name}")) == ""
    assert refused_with(lambda: store.get_parameter(Name=f"/other/{name}")) == "AccessDeniedException"
