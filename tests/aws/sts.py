"""
``AssumeRole``, with session tags: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.

What else there is of STS is moto's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .errors import AwsError, Unsupported
from .roles import Credentials, Roles
from .service_model import check_request

_KNOWN: Final = {"RoleArn", "RoleSessionName", "Tags", "DurationSeconds"}
_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


def query_params(body: str) -> dict[str, Any]:
    """
    The members of a request of the query protocol: ``Tags.member.1.Key`` is the key of the first tag.

    Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        if name in ("Action", "Version") or (not value and "." not in name):  # so an empty list is sent
            continue
        *above, last = name.split(".")
        place = found
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return {name: _with_lists(value) for name, value in found.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"member"}:
        return [_with_lists(item) for _, item in sorted(value["member"].items(), key=lambda one: int(one[0]))]
    return {name: _with_lists(item) for name, item in value.items()}


def assume_role(roles: Roles, caller: Credentials | None, asked: Mapping[str, Any]) -> bytes:
    """
    Answer one request.

    :raises AwsError: it is refused.
    """
    params = dict(asked)
    if "DurationSeconds" in params:
        params["DurationSeconds"] = int(params["DurationSeconds"])
    check_request("sts", "AssumeRole", params)
    if set(params) - _KNOWN:
        raise Unsupported(f"AssumeRole with {', '.join(sorted(set(params) - _KNOWN))}")
    keys = [tag["Key"] for tag in params.get("Tags", [])]
    if len({key.lower() for key in keys}) < len(keys):  # id_session-tags.html: "not case sensitive"
        raise AwsError(
            "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
    given = roles.assume(caller, params["RoleArn"], params["RoleSessionName"], tags)
    until = datetime.now(UTC) + timedelta(seconds=params.get("DurationSeconds", 3600))
    credentials = {
        "AccessKeyId": given.access_key, "SecretAccessKey": given.secret_key, "SessionToken": given.token,
        "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    user = {"Arn": given.principal.arn, "AssumedRoleId": f"AROAMLX:{given.principal.session}"}
    return (
        f'<AssumeRoleResponse xmlns="{_NAMESPACE}"><AssumeRoleResult>'
        f"<Credentials>{_members(credentials)}</Credentials><AssumedRoleUser>{_members(user)}</AssumedRoleUser>"
        "</AssumeRoleResult><ResponseMetadata><RequestId>mlx</RequestId></ResponseMetadata></AssumeRoleResponse>"
    ).encode()


def _members(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
