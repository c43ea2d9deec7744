"""
The endpoint's front: one HTTP port, behind which are SageMaker and CloudWatch Logs of our own, and moto for the rest.

Every request is recorded, may meet a fault, and is judged if a job signed it. Signatures themselves are not checked.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from .bulk_deletes import with_errors, without
from .calls import Call, CallLog
from .conditional_writes import ConditionalWrites
from .control import Control
from .errors import AwsError, Unsupported
from .faults import Fault, Faults
from .logs_api import LogsApi
from .policy import Need
from .roles import Credentials, Roles
from .s3_requests import S3Request, list_need, object_need, read_s3_request
from .sagemaker_api import SageMakerApi
from .service_model import check_request, problems_of_answer, to_wire
from .sts import assume_role, query_params
from .wire import error_body

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_JSON_SERVICES: Final = {"SageMaker": "sagemaker", "Logs_20140328": "logs"}
_ANSWERED_HERE: Final = ("sagemaker", "logs")


@dataclass(frozen=True)
class Request:
    """What a request is, before anybody judges it."""

    call: Call
    signer: Credentials | None
    params: Mapping[str, Any]
    s3: S3Request | None


class Front:
    """The WSGI application."""

    def __init__(
        self, *, sagemaker: SageMakerApi, logs: LogsApi, moto: Any, roles: Roles, calls: CallLog, faults: Faults,
        problems: list[str], control: Control, needs_of: Callable[[str, str, Mapping[str, Any]], tuple[Need, ...]],
    ) -> None:  # fmt: skip
        self._needs_of = needs_of
        self._sagemaker, self._moto, self._roles = sagemaker, moto, roles
        self._operations = {"sagemaker": sagemaker.operations, "logs": logs.operations}
        self._calls, self._faults, self._problems, self._control = calls, faults, problems, control
        self._conditional = ConditionalWrites()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"].startswith("/mlx-"):
            return self._control(environ, start_response)
        request = self._read(environ)
        self._calls.add(request.call)
        fault = self._faults.meet(request.call)
        if fault is not None and fault.kind != "lost_response":
            return self._misbehave(fault, request, environ, start_response)
        if fault is not None:  # the request takes effect, and nobody hears of it
            list(self._answer(request, environ, lambda *_: None))
            return _hang_up(environ)
        return self._answer(request, environ, start_response)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, environ: Environ) -> Request:
        access_key, service = _scope(environ)
        signer = self._roles.whose(access_key)
        principal = signer.job if signer else "administrator"
        target, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        params: Mapping[str, Any] = {}
        s3 = None
        if operation:
            service = _JSON_SERVICES.get(target, service)
            params = _json_or_nothing(_body(environ))
        elif service == "s3":
            s3 = _s3_request(environ)
            operation, params = s3.operation, s3.params
        else:
            operation, params = _query(environ)
        return Request(Call(time.time(), service, operation, params, principal), signer, params, s3)

    # --- answering ---------------------------------------------------------------------------------------------------

    def _answer(self, request: Request, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        call = request.call
        try:
            self._judge(request)
            if call.service in _ANSWERED_HERE:
                check_request(call.service, call.operation, request.params)
                handler = self._handler(request)
                arn = request.params.get("ResourceArn")
                if handler is not None and (arn is None or self._sagemaker.owns(arn)):
                    return self._answer_here(call, handler(request.params), start_response)
                if call.service == "logs":
                    raise Unsupported(f"logs:{call.operation}")
            if (call.service, call.operation) == ("sts", "AssumeRole"):
                return _xml(assume_role(self._roles, request.signer, request.params), start_response)
        except AwsError as refused:
            return _error(call, refused, environ, start_response)
        except Unsupported as beyond:
            self._problems.append(f"{call.operation}: not supported here: {beyond}")
            wrong = AwsError("NotImplemented", f"the endpoint of the tests cannot do this: {beyond}", 501)
            return _error(call, wrong, environ, start_response)
        except Exception as broken:
            self._problems.append(f"{call.operation}: {traceback.format_exc()}")
            return _error(call, AwsError("InternalFailure", repr(broken), 500), environ, start_response)
        if request.s3 is not None:
            return self._ask_s3(request, environ, start_response)
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer

    def _handler(self, request: Request) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
        if request.call.operation == "CreateTrainingJob":
            tags = request.signer.principal.tags if request.signer else {}
            return partial(self._sagemaker.create_training_job, session_tags=tags)
        return self._operations[request.call.service].get(request.call.operation)

    def _answer_here(self, call: Call, answer: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        wire = to_wire(answer)
        found = problems_of_answer(call.service, call.operation, wire)
        if found:
            self._problems.extend(found)
            raise AssertionError("; ".join(found))
        body = json.dumps(wire).encode() if wire else b""
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    def _ask_s3(self, request: Request, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert request.s3 is not None
        denied = self._denied_deletes(request)
        if denied and request.signer is not None:
            for key in denied:
                self._roles.refused(request.signer.principal, object_need("s3:DeleteObject", request.s3.bucket, key))
            without(environ, request.s3.keys, denied)
        said: list[Any] = []
        with self._conditional.one_at_a_time(request.s3):
            body = list(self._moto(environ, lambda *given: said.extend(given)))
        if denied:
            return with_errors(body, denied, said, start_response)
        if said[0].startswith("404") and self._may_not_know(request.s3, request.signer):
            return _error(request.call, AwsError("AccessDenied", "Access Denied", 403), environ, start_response)
        start_response(*said)
        return body

    def _judge(self, request: Request) -> None:
        """Refuse what the role of the job that asks does not allow. (STS has more to look at, and does.)"""
        if request.signer is None:
            return
        call, principal = request.call, request.signer.principal
        if request.s3 is not None:
            needs = request.s3.needs or (Need(f"s3:{request.s3.operation}", "*", {}),)
            if self._denied_deletes(request) and len(self._denied_deletes(request)) < len(needs):
                return  # those that may be deleted are
            for need in needs:
                self._roles.check(principal, need)
        elif call.operation not in (
            "GetCallerIdentity",
            "AssumeRole",
        ):  # "No permissions are required to perform this operation"
            for need in self._needs_of(call.service, call.operation, request.params):
                self._roles.check(principal, need)

    def _denied_deletes(self, request: Request) -> list[str]:
        """Of a DeleteObjects request, the keys that its job may not delete."""
        if request.signer is None or request.s3 is None or request.s3.operation != "DeleteObjects":
            return []
        principal = request.signer.principal
        judged = zip(request.s3.keys, request.s3.needs, strict=True)
        return [key for key, need in judged if not self._roles.allows(principal, need)]

    def _may_not_know(self, asked: S3Request, signer: Credentials | None) -> bool:
        """
        Is it not for who asks to know that an object is not there?

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html: without ``s3:ListBucket``, "Amazon S3 returns
        an HTTP status code 403 Forbidden error" for it. (The permission is judged without a prefix.)
        """
        if signer is None or asked.operation not in ("GetObject", "HeadObject"):
            return False
        return not self._roles.allows(signer.principal, list_need(asked.bucket, None))

    # --- misbehaving -------------------------------------------------------------------------------------------------

    def _misbehave(
        self, fault: Fault, request: Request, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        if fault.kind == "blackhole":
            self._faults.over.wait(fault.hold_seconds)
            return _hang_up(environ)
        return _error(request.call, fault.error(request.call), environ, start_response)


def _error(call: Call, refused: AwsError, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] in ("PUT", "POST"):
        _drain(environ)
    body, kind = error_body(call.service, refused)
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-ErrorType", refused.code)]
    start_response(f"{refused.status} {refused.code}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _xml(body: bytes, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _hang_up(environ: Environ) -> Iterable[bytes]:
    """Close the connection without a word."""
    connection: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the fault that was asked for")


def _scope(environ: Environ) -> tuple[str | None, str]:
    """Access key and service of a signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    given = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0]
    given = given or parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    parts = given.split("/")
    return (parts[0], parts[3]) if len(parts) == 5 else (None, "s3")


def _body(environ: Environ) -> bytes:
    """A request's body, which may be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _drain(environ: Environ) -> None:
    """Read what a refused request has still to say, or its client would see a broken connection instead of the answer."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(left, 1 << 20))):
        left -= len(chunk)


def _json_or_nothing(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _s3_request(environ: Environ) -> S3Request:
    query = environ.get("QUERY_STRING", "")
    deletes = environ["REQUEST_METHOD"] == "POST" and "delete" in parse_qs(query, keep_blank_values=True)
    headers = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")  # as WSGI has it: PEP 3333
    return read_s3_request(environ["REQUEST_METHOD"], path, query, headers, _body(environ) if deletes else b"")


def _query(environ: Environ) -> tuple[str, Mapping[str, Any]]:
    """Operation and members of a request of the query protocol."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return str(environ["REQUEST_METHOD"]), {}
    body = _body(environ).decode("utf-8", "replace")
    return parse_qs(body).get("Action", [""])[0], query_params(body)
