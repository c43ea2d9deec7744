"""
SageMaker and CloudWatch Logs by boto3, with the credentials of the amazon provider's hook.

Every error that is an answer becomes ours here; everything else (throttling, 5xx, no connection) is no answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.exceptions import (
    BackendUnavailable,
    CapacityUnavailable,
    JobMisconfigured,
    MlxError,
    QuotaExceeded,
)

from .credentials import Session

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30
ATTEMPTS: Final = 3
"""Of one call; who calls waits longer by itself, knows the deadline, and says why it waits."""

_EXPIRED: Final = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "RequestExpired", "UnrecognizedClientException",
        "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure",
        "IncompleteSignature", "MissingAuthenticationToken", "InvalidToken",
    }
)  # fmt: skip
"""Source: the "Common Errors" of the API references: the credentials are not taken, and may have been renewed."""
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
_THROTTLED: Final = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "PriorRequestNotComplete", "LimitExceeded",
    }
)  # fmt: skip
"""As botocore's own retries know them (``botocore/data/_retry.json``)."""
_QUOTAS: Final = frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException"})
_MISSING: Final = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
_NOT_THERE: Final = re.compile(r"not found|could not find|does not exist", re.IGNORECASE)
"""
What the API says of an unknown job: ``ResourceNotFound`` in its reference, and in fact a ``ValidationException`` with
"Requested resource not found." (training) or "Could not find requested job with name: …" (processing).
"""
_ACTION: Final = re.compile(r"not authorized to perform: (\S+)(?: on resource: (\S+))?")


class InUse(MlxError):
    """The job's name is taken."""


class Missing(MlxError):
    """There is no such job, log group or stream."""


class AwsClient:
    """
    Calls of two services in one region.

    :param session: makes a boto3 session, and says the endpoint of a service (``None`` for AWS's own).
    """

    def __init__(self, session: Callable[[], Session], region: str = "") -> None:
        self._make_session = session
        self._region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        """The region of the calls."""
        return str(self._client("sagemaker").meta.region_name)

    def call(self, operation: str, /, service: str = "sagemaker", **request: Any) -> dict[str, Any]:
        """
        One call.

        :param operation: in Python's spelling, as ``create_training_job``.
        :raises InUse: a job has this name.
        :raises Missing: there is no such thing.
        :raises QuotaExceeded: the account may not have more.
        :raises ConnectionRefused: the credentials are not taken (any more); the next call reads the connection again.
        :raises JobMisconfigured: the request is refused.
        :raises BackendUnavailable: no definite answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
        from botocore.parsers import ResponseParserError

        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**request)
            return answer
        except ClientError as error:
            raise self._answered(operation, error.response) from None
        except (NoCredentialsError, NoRegionError) as error:
            raise JobMisconfigured(
                f"AWS cannot be asked: {error}", remedy="give the target's connection credentials and a region_name"
            ) from None
        except (BotoCoreError, ResponseParserError) as error:  # the latter is what a proxy's page makes
            raise BackendUnavailable(f"no answer from {service}: {type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Forget the clients; the next call reads the connection again."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _answered(self, operation: str, response: Mapping[str, Any]) -> Exception:
        error = answer_error(operation, response)
        if isinstance(error, ConnectionRefused):
            self.close()
        return error

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                session, endpoint = self._make_session()
                config = Config(
                    connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, max_pool_connections=4,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                )  # fmt: skip
                self._clients[service] = session.client(
                    service, region_name=self._region or None, endpoint_url=endpoint(service), config=config
                )
            return self._clients[service]


def answer_error(operation: str, response: Mapping[str, Any]) -> MlxError:
    """The exception for an answer that is no success."""
    said = response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{code}: {message}" if message else code
    if code in _THROTTLED or status >= 500:
        return BackendUnavailable(f"no answer to {operation}: {text}")
    if code in _EXPIRED:
        return ConnectionRefused(f"AWS does not take the connection's credentials: {text}")
    if code in _DENIED:
        return _denied(operation, message)
    if code in _QUOTAS:
        return _quota(message)
    if code == "ResourceInUse":
        return InUse(text)
    creates = operation.startswith(("create_", "start_"))  # there it is something else that is not there
    if not creates and (code in _MISSING or (code == "ValidationException" and _NOT_THERE.search(message))):
        return Missing(text)
    return JobMisconfigured(
        f"AWS refuses {operation}: {text}", remedy="correct what it names; `plan` prints the whole request"
    )


def _quota(message: str) -> MlxError:
    """A limit of 0 is one that nobody has asked AWS to raise yet; any other has room again when a job ends."""
    remedy = "ask for more of this quota in the console's Service Quotas, or add a further target to the list"
    if re.search(r"\bis 0 Instances\b", message):
        return CapacityUnavailable(f"the account may not use this instance type: {message}", remedy=remedy)
    return QuotaExceeded(f"a quota of the account is used up: {message}", remedy=remedy)


def _denied(operation: str, message: str) -> JobMisconfigured:
    found = _ACTION.search(message)
    action, resource = (found[1], found[2]) if found else (operation, None)
    on = f" on {resource}" if resource else ""
    passing = " It is the role that the job runs as: check `role_arn`, too." if action == "iam:PassRole" else ""
    return JobMisconfigured(
        f"the connection may not do {action}{on}: {message}",
        remedy=f"allow {action}{on} to the connection's role or user; "
        "`python -m airflow_provider_mlx init sagemaker` writes the policy of steps, and the guide on pipelines has "
        f"theirs.{passing}",
    )
