"""
One request to a service of AWS, signed by the standard library: for images without boto3.

Sources: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (Signature Version 4), and
docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from datetime import datetime, timezone
from typing import Any, Mapping, NamedTuple  # noqa: UP035  (Python 3.9)

from .refusals import JobMisconfigured

TIMEOUT_SECONDS = 20.0
TRIES = 4
CONTAINER_HOST = "http://169.254.170.2"
_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Of the job's role."""

    key_id: str
    secret: str
    token: str


class Refused(Exception):
    """The service has answered, and does not do it."""


def call(service: str, target: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """
    A request of the "AWS JSON 1.1" protocol.

    :param service: as in the service's host name.
    :param target: of the header ``X-Amz-Target``, as ``secretsmanager.GetSecretValue``.
    :raises Refused: the service's own words.
    :raises JobMisconfigured: nothing says who or where the job is, or nothing answers.
    """
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise JobMisconfigured("AWS cannot be asked: AWS_REGION is not set in this job")
    url = endpoint(service, region)
    payload = json.dumps(body).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    now = datetime.now(timezone.utc)
    signed = sign(url, headers, payload, service=service, region=region, given=credentials(), now=now)
    answer: dict[str, Any] = json.loads(_post(url, signed, payload))
    return answer


def endpoint(service: str, region: str) -> str:
    """Where a service is; the variables are those of AWS's own clients."""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return (named or f"https://{service}.{region}.{domain}").rstrip("/") + "/"


def credentials() -> Credentials:
    """
    Of this job, from its environment or from where its environment says.

    :raises JobMisconfigured: there are none.
    """
    env = os.environ
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN", ""))
    path, full = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not path and not full:
        raise JobMisconfigured("AWS cannot be asked: this job has no credentials", "is it without a network?")
    given = json.loads(_read(f"{CONTAINER_HOST}{path}" if path else str(full)))
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given.get("Token", ""))


def sign(
    url: str, headers: Mapping[str, str], payload: bytes, *,
    service: str, region: str, given: Credentials, now: datetime,
) -> dict[str, str]:  # fmt: skip
    """The headers of a POST request to the root of a host, with its signature."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    host = url.partition("://")[2].partition("/")[0]
    whole = {**headers, "Host": host, "X-Amz-Date": stamp}
    if given.token:
        whole["X-Amz-Security-Token"] = given.token
    lower = {name.lower(): " ".join(value.split()) for name, value in whole.items()}
    names = ";".join(sorted(lower))
    lines = "".join(f"{name}:{lower[name]}\n" for name in sorted(lower))
    canonical = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(payload).hexdigest()])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{given.secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    whole["Authorization"] = (
        f"{_ALGORITHM} Credential={given.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return whole


def _post(url: str, headers: Mapping[str, str], payload: bytes) -> bytes:
    from urllib.request import Request

    return _patiently(Request(url, data=payload, headers=dict(headers), method="POST"))  # noqa: S310


def _read(url: str) -> bytes:
    from urllib.request import Request

    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return _patiently(Request(url, headers={"Authorization": token} if token else {}))  # noqa: S310


def _patiently(request: Any) -> bytes:
    """A throttled or unreachable service is asked again a few times."""
    import time
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    for turn in range(TRIES):
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  (the addresses are ours)
                return bytes(answer.read())
        except HTTPError as error:
            said = error.read().decode("utf-8", "replace")
            if error.code < 500 and "Throttling" not in said:
                raise Refused(_words(said)) from None
            problem = f"{error.code} {_words(said)}"
        except (URLError, OSError) as error:
            problem = str(getattr(error, "reason", error))
        time.sleep(2.0**turn / 2)
    raise JobMisconfigured(
        f"{request.host} gives no answer: {problem}", "check the job's network: VPC, endpoints, proxy"
    )


def _words(said: str) -> str:
    """``AccessDeniedException: User … is not authorized``, of an error's body."""
    try:
        body = json.loads(said)
        kind = str(body.get("__type", "")).rpartition("#")[2]
        message = str(body.get("message") or body.get("Message") or "")
        return ": ".join(part for part in (kind, message) if part) or said[:300]
    except (ValueError, AttributeError):
        return said[:300]
