"""Where a server is, and how it knows us."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.auth import (
    BearerToken,
    ExtraHeaders,
    MintedToken,
    NoAuth,
    SessionCookie,
    Token,
    TokenFile,
)
from airflow_provider_mlx.exceptions import JobMisconfigured

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("http://ml-pipeline.kubeflow:8888", "http://ml-pipeline.kubeflow:8888", id="in the cluster"),
        pytest.param("ml-pipeline.kubeflow:8888", "http://ml-pipeline.kubeflow:8888", id="without a scheme"),
        pytest.param("https://kf.example.com/pipeline/", "https://kf.example.com/pipeline", id="behind the gateway"),
        pytest.param("http://h:1/apis/v2beta1/runs", "http://h:1", id="with the API's path"),
        pytest.param("https://h/pipeline/apis/v2beta1", "https://h/pipeline", id="with both"),
        pytest.param("https://h/_/pipeline/?ns=ml#/runs/details/1", "https://h/pipeline", id="from the dashboard"),
        pytest.param("http://[::1]:8888", "http://[::1]:8888", id="an address of IPv6"),
    ],
)
def test_address(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "grpc://h:8887", "http://", "https://user:secret@h"])
def test_no_address(text):
    with pytest.raises(JobMisconfigured) as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        pytest.param(NoAuth(), {}, id="none"),
        pytest.param(BearerToken("t"), {"Authorization": "Bearer t"}, id="a token"),
        pytest.param(SessionCookie("authservice_session=x"), {"Cookie": "authservice_session=x"}, id="a cookie"),
        pytest.param(ExtraHeaders({"kubeflow-userid": "me"}), {"kubeflow-userid": "me"}, id="headers"),
    ],
)
def test_headers(auth, headers):
    assert auth.headers() == headers
    assert ServerAccess("http://h", auth, headers={"X-One": "1"}).request_headers() == {"X-One": "1", **headers}
    assert not auth.renew()


def test_a_token_file_is_read_for_every_request(tmp_path):
    file = tmp_path / "token"
    auth = TokenFile(str(file))
    file.write_text("first\n")
    assert auth.headers() == {"Authorization": "Bearer first"}
    file.write_text("second\n")
    assert auth.headers() == {"Authorization": "Bearer second"}
    file.write_text("\n")
    with pytest.raises(ConnectionRefused, match="is empty"):
        auth.headers()
    file.unlink()
    with pytest.raises(ConnectionRefused, match="audience"):
        auth.headers()


def test_a_minted_token_is_kept_until_shortly_before_its_end():
    minted, now = [], [NOON]

    def mint() -> Token:
        minted.append(now[0])
        return Token(f"t{len(minted)}", now[0] + timedelta(minutes=10))

    auth = MintedToken(mint, now=lambda: now[0])
    assert [auth.headers() for _ in range(3)] == [{"Authorization": "Bearer t1"}] * 3
    now[0] += timedelta(minutes=7)
    assert auth.headers() == {"Authorization": "Bearer t1"}
    now[0] += timedelta(minutes=2)
    assert auth.headers() == {"Authorization": "Bearer t2"}
    assert auth.renew(), "what the server refused is thrown away"
    assert auth.headers() == {"Authorization": "Bearer t3"}


def test_no_secret_is_shown():
    hidden = [
        BearerToken("s3cr3t"), SessionCookie("s3cr3t"), ExtraHeaders({"x": "s3cr3t"}), Token("s3cr3t", NOON),
        ServerAccess("http://h", BearerToken("s3cr3t"), headers={"x": "s3cr3t"}, proxy="http://u:s3cr3t@p"),
        MintedToken(lambda: Token("s3cr3t", NOON)),
    ]  # fmt: skip
    assert "s3cr3t" not in repr(hidden)


def test_certificates_are_checked_unless_that_is_switched_off():
    assert ServerAccess("https://h").tls().verify_mode is ssl.CERT_REQUIRED
    assert ServerAccess("https://h", verify=False).tls().verify_mode is ssl.CERT_NONE
    with pytest.raises(JobMisconfigured, match="cannot be read"):
        ServerAccess("https://h", certificate_authority="no PEM").tls()
