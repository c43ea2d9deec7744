"""What an answer means: a table of them, as a real server of 2.14.3, its upload and gateways give them."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.answers import (
    Conflict,
    Missing,
    Refused,
    answer_error,
    message_of,
    parse_answer,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured

LOGIN = "<!DOCTYPE html><html><title>Dex</title></html>"


def told(code: int, message: str, short: str = "") -> str:
    return json.dumps({"code": code, "message": message, "details": [{"message": short or message}]})


@pytest.mark.parametrize(
    ("method", "status", "text", "kind", "said"),
    [
        pytest.param("GET", 404, told(5, "Failed to get a run: Run x not found", "Run x not found"), Missing,
                     "Run x not found", id="the server knows no such run"),
        pytest.param("GET", 404, LOGIN, ConnectionRefused, "ends in `/pipeline`", id="a gateway's 404 says nothing of a run"),
        pytest.param("GET", 404, "404 page not found\n", ConnectionRefused, "no API of Kubeflow Pipelines",
                     id="another server's 404"),
        pytest.param("GET", 404, "", ConnectionRefused, "no API", id="an empty 404"),
        pytest.param("GET", 302, "", ConnectionRefused, "wants a login", id="a redirect to a login"),
        pytest.param("GET", 200, LOGIN, ConnectionRefused, "wants a login", id="200 with a page is no success"),
        pytest.param("GET", 401, told(16, "Request header error: there is no user identity header."), ConnectionRefused,
                     "no user identity header", id="no identity"),
        pytest.param("GET", 403, told(7, "User 'x' is not authorized"), ConnectionRefused, "kubeflow-edit",
                     id="no right to look comes back"),
        pytest.param("POST", 403, told(7, "User 'x' is not authorized"), JobMisconfigured, "kubeflow-edit",
                     id="no right to make"),
        pytest.param("POST", 403, "RBAC: access denied", JobMisconfigured, "RBAC: access denied", id="Istio's no"),
        pytest.param("POST", 400, told(3, "Invalid input error: parameter n is required", "parameter n is required"), Refused,
                     "parameter n is required", id="a wrong parameter"),
        pytest.param("POST", 409, told(6, "The experiment x already exist"), Conflict, "already exist", id="a name is taken"),
        pytest.param("POST", 429, "", BackendUnavailable, "429", id="too many requests"),
        pytest.param("POST", 503, "upstream connect error", BackendUnavailable, "503", id="nobody there"),
        pytest.param("POST", 502, LOGIN, BackendUnavailable, "502", id="a gateway's page"),
        pytest.param("POST", 500, told(13, "InternalServerError: Error 1062: Duplicate entry 'x' for key 'PRIMARY'",
                                       "Internal Server Error"), Conflict, "Duplicate entry", id="the id is taken"),
        pytest.param("POST", 500, told(13, "UNIQUE constraint failed: run_details.UUID"), Conflict, "UNIQUE",
                     id="the same on SQLite"),
        pytest.param("POST", 500, told(13, "Failed to create: etcdserver: request is too large"), Refused, "pass references",
                     id="too large is definite"),
        pytest.param("POST", 500, told(13, 'failed to unmarshal kubernetes config: unknown field "optional"'), Refused,
                     "older than what", id="an unknown field is definite"),
        pytest.param("POST", 500, told(13, "Error 1366: Incorrect string value: '\\xF0' for column 'DisplayName'"), Refused,
                     "no emoji", id="an emoji is definite"),
        pytest.param("POST", 500, told(13, "failed to resolve {{inputs.parameters.x}}"), Refused, "without it", id="braces"),
        pytest.param("POST", 500, told(13, "dial tcp 10.0.0.1:3306: connect: connection refused"), BackendUnavailable,
                     "connection refused", id="its database is away: later"),
        pytest.param("POST", 501, told(12, "Not Implemented"), Refused, "table of versions", id="a call that it has not"),
        pytest.param("POST", 400, json.dumps({"error_message": "no file", "error_details": "uploadfile: no file"}), Refused,
                     "uploadfile: no file", id="the upload's own form"),
    ],
)  # fmt: skip
def test_errors(method, status, text, kind, said):
    found = answer_error(method, "/runs", status, text)
    assert type(found) is kind or (kind is JobMisconfigured and isinstance(found, Refused))
    assert said in str(found)


def test_a_conflict_and_a_refusal_are_what_the_life_of_a_job_knows():
    assert issubclass(Conflict, JobConflict)
    assert issubclass(Refused, JobMisconfigured)
    assert not issubclass(Missing, BackendUnavailable), "a definite answer"


def test_a_success_is_none():
    assert answer_error("GET", "/runs", 200, "{}", "application/json") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(told(13, "long: chain: cause", "cause"), "cause", id="the short one"),
        pytest.param(told(13, "long: chain", "Internal Server Error"), "long: chain", id="unless it says nothing"),
        pytest.param("plain text", "plain text", id="no JSON"),
        pytest.param("[1]", "[1]", id="no object"),
        pytest.param("{}", "no message", id="an empty object"),
        pytest.param('{"details": ["x"], "message": "m"}', "m", id="details of another form"),
    ],
)
def test_message(text, message):
    assert message_of(text) == message


def test_an_answer_that_is_no_object_is_no_answer():
    assert parse_answer("GET /runs", "") == {}
    for text in ("nope", "[1]"):
        with pytest.raises(BackendUnavailable):
            parse_answer("GET /runs", text)
