"""Requests to AWS by the standard library: signed as botocore signs them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_mlx.runtime import aws_request
from airflow_provider_mlx.runtime.aws_request import Credentials, credentials, endpoint, sign
from airflow_provider_mlx.runtime.refusals import JobMisconfigured

NOW = datetime(2026, 11, 26, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize("token", ["", "session-token"])
def test_the_signature_is_that_of_botocore(token, monkeypatch):
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Theirs

    url, payload = "https://secretsmanager.eu-central-1.amazonaws.com/", b'{"SecretId": "a/b"}'
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    request = AWSRequest("POST", url, data=payload, headers=headers)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    theirs = Theirs("key-id", "secret", token or None)
    botocore.auth.SigV4Auth(theirs, "secretsmanager", "eu-central-1").add_auth(request)
    ours = sign(
        url, headers, payload, service="secretsmanager", region="eu-central-1",
        given=Credentials("key-id", "secret", token), now=NOW,
    )  # fmt: skip
    assert ours["Authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("region", "env", "where"),
    [
        ("eu-central-1", {}, "https://ssm.eu-central-1.amazonaws.com/"),
        ("cn-north-1", {}, "https://ssm.cn-north-1.amazonaws.com.cn/"),
        ("eu-central-1", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1/"),
        ("eu-central-1", {"AWS_ENDPOINT_URL_SSM": "https://vpce/", "AWS_ENDPOINT_URL": "http://b"}, "https://vpce/"),
    ],
)
def test_where_a_service_is(region, env, where, monkeypatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert endpoint("ssm", region) == where


def test_credentials_of_a_container_are_asked_for_where_its_environment_says(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")
    asked = []
    answer = b'{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}'
    monkeypatch.setattr(aws_request, "_read", lambda url: asked.append(url) or answer)
    assert credentials() == Credentials("a", "b", "c")
    assert asked == ["http://169.254.170.2/v2/credentials/1"]


def test_a_job_without_credentials_says_so(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(JobMisconfigured, match="no credentials"):
        credentials()
