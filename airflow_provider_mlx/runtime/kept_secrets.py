"""
Secrets that the job fetches itself, by its own identity, where the backend has no way to bring them.

A variable ``MLX_SECRET_<NAME>`` says where the value of ``<NAME>`` is::

    secretsmanager:prod/hf#token      a key of a JSON secret of AWS Secrets Manager; without ``#…`` the whole text
    ssm:/ml/hf                        a parameter of AWS Systems Manager, decrypted

The value is in this process's environment alone, and in that of the step's code.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping, MutableMapping, NamedTuple  # noqa: UP035  (Python 3.9)

from .refusals import JobMisconfigured

PREFIX = "MLX_SECRET_"


class Service(NamedTuple):
    """
    Where secrets are kept.

    :param target: of the request.
    :param request: the request's body, for a name.
    :param value: the secret in the answer.
    :param action: what the job's role must be allowed.
    """

    target: str
    request: Callable[[str], Mapping[str, Any]]
    value: Callable[[Mapping[str, Any]], str]
    action: str


SERVICES: Mapping[str, Service] = {
    "secretsmanager": Service(
        "secretsmanager.GetSecretValue", lambda name: {"SecretId": name}, lambda answer: str(answer["SecretString"]),
        "secretsmanager:GetSecretValue",
    ),
    "ssm": Service(
        "AmazonSSM.GetParameter", lambda name: {"Name": name, "WithDecryption": True},
        lambda answer: str(answer["Parameter"]["Value"]), "ssm:GetParameter",
    ),
}  # fmt: skip


def fetch_secrets(environment: MutableMapping[str, str]) -> None:
    """
    Put every secret that is referred to into its variable, and take the references out.

    :raises JobMisconfigured: one cannot be had.
    """
    for name in sorted(name for name in environment if name.startswith(PREFIX)):
        environment[name[len(PREFIX) :]] = _fetched(name[len(PREFIX) :], environment.pop(name))


def _fetched(variable: str, reference: str) -> str:
    from .aws_request import Refused, call

    service, _, place = reference.partition(":")
    name, _, key = place.partition("#")
    if service not in SERVICES:
        raise JobMisconfigured(f"the secret {variable} is at {service!r}, which this runtime does not know")
    kept = SERVICES[service]
    try:
        text = kept.value(call(service, kept.target, kept.request(name)))
    except Refused as refused:
        raise JobMisconfigured(
            f"the secret {variable} cannot be read from {service} `{name}`: {refused}",
            f"allow {kept.action} on it to the job's role, and check its name",
        ) from None
    except KeyError:  # Secrets Manager keeps bytes elsewhere
        raise JobMisconfigured(f"the secret {variable} in {service} `{name}` is no text") from None
    return _part(variable, text, key) if key else text


def _part(variable: str, text: str, key: str) -> str:
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        raise JobMisconfigured(
            f"the secret {variable} is no JSON object with a key {key!r}", "name one of its keys behind `#`, or none"
        ) from None
