"""
What an answer that is no success means: pure.

A server behind a gateway answers in three voices: the API server's own (JSON with a gRPC code), the upload's own
(``error_message``), and the gateway's (a redirect, or a page of HTML). Sources: the answers of a real 2.14.3, and
``google/rpc/code.proto`` for the codes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured, MlxError


class Missing(MlxError):
    """There is no such run, pipeline, version or experiment, definitely."""


class Conflict(JobConflict):
    """The name is taken, or the object is in no state for this."""


class Refused(JobMisconfigured):
    """
    The server's definite no.

    :ivar code: the HTTP status.
    """

    code: int = 400


_NOT_FOUND: Final = 5
"""``NOT_FOUND`` of gRPC: the API server's own word. Any other 404 is a gateway's, and says nothing of a run."""
_REMEDIES: Final[Mapping[int, str]] = {
    403: "give the connection's user or service account this right in the namespace (a RoleBinding to "
    "`kubeflow-edit`), or choose another namespace",
    501: "the server is too old or too new for this call: look at the table of versions in the guide",
}
_HTML: Final = re.compile(r"^\s*<(!doctype|html)", re.IGNORECASE)
_INTERNAL: Final = re.compile(r"^internal (server )?error\.?$", re.IGNORECASE)

# A 500 of this server is often a definite no: the request cannot be rendered or stored, and never will be.
_DEFINITE: Final = (
    (
        re.compile(r"request is too large|ResourceExhausted|trying to send message larger", re.IGNORECASE),
        "a run and its parameters share about 1 MiB of the cluster's store: pass references, not data",
    ),
    (
        re.compile(r"unknown field|unmarshal|invalid (pipeline|workflow) spec|unsupported (schema|pipeline spec)",
                   re.IGNORECASE),
        "the server is older than what the pipeline was compiled for: compile it with an SDK of the server's version",
    ),
    (
        re.compile(r"Incorrect string value|Data too long", re.IGNORECASE),
        "its database stores no emoji, and 255 characters of a name: shorten it, or leave them out",
    ),
    (
        re.compile(r"failed to (resolve|replace)|\{\{", re.IGNORECASE),
        "Argo replaces `{{…}}` wherever it stands: write the text without it",
    ),
    (
        re.compile(r"name (is (empty|required|missing)|cannot be empty)|invalid label value", re.IGNORECASE),
        "give it a name",
    ),
    (re.compile(r"metadata\.\w+: Invalid value", re.IGNORECASE), "Kubernetes does not take it: choose a shorter one"),
)  # fmt: skip
_TAKEN: Final = re.compile(r"Duplicate entry|UNIQUE constraint failed|duplicate key value", re.IGNORECASE)
"""MySQL's words, SQLite's and PostgreSQL's; the server says 500 for them."""


def answer_error(method: str, path: str, status: int, text: str, content_type: str = "") -> MlxError | None:
    """The error of an answer; ``None`` for a success."""
    if 300 <= status < 400:
        return _login(f"{status}: it redirects")
    if _HTML.match(text) or "text/html" in content_type:
        return _page(status)
    if status < 400:
        return None
    message = message_of(text)
    said = f"Kubeflow Pipelines answers {method} {path} with {status}: {message}"
    if status == 401:
        return ConnectionRefused(f"Kubeflow Pipelines does not take the connection's credentials: {message}")
    if status == 403 and method == "GET":  # rights come back, and what runs goes on meanwhile
        return ConnectionRefused(said, remedy=_REMEDIES[403])
    if status == 404:
        return Missing(said) if _code(text) == _NOT_FOUND else _nothing_there(said)
    if status == 409:
        return Conflict(said)
    if status == 429 or status in (502, 503, 504):
        return BackendUnavailable(said)
    if status == 500:
        return _internal(said, message)
    return refused(said, status)


def message_of(text: str) -> str:
    """The server's own words, the short ones where it has both."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return text.strip()[:500] or "no message"
    details = found.get("details")
    first = details[0] if isinstance(details, list) and details else {}
    short = str(first.get("message") or "") if isinstance(first, Mapping) else ""
    whole = str(found.get("message") or found.get("error_details") or found.get("error_message") or "")
    if short and not _INTERNAL.match(short):
        return short[:1000]
    return (whole or short or "no message")[:1000]


def refused(said: str, status: int, remedy: str = "") -> Refused:
    """A definite no, with what to do about it."""
    error = Refused(said, remedy=remedy or _REMEDIES.get(status, "correct what it names"))
    error.code = status
    return error


def parse_answer(what: str, text: str) -> dict[str, Any]:
    """
    A success as a value.

    :raises BackendUnavailable: it is no JSON object: something else answered in the server's place.
    """
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        raise BackendUnavailable(f"the answer to {what} is no JSON: {text[:200]!r}") from None
    if not isinstance(found, dict):
        raise BackendUnavailable(f"the answer to {what} is no object: {text[:200]!r}")
    return found


def _internal(said: str, message: str) -> MlxError:
    """
    A 500 is not a synonym for "later".

    With a name or id that is taken, its Workflow was made all the same: who asked looks what is there.
    """
    if _TAKEN.search(message):
        return Conflict(said)
    for pattern, remedy in _DEFINITE:
        if pattern.search(message):
            return refused(said, 500, remedy)
    return BackendUnavailable(said)


def _page(status: int) -> MlxError:
    if status >= 500:
        return BackendUnavailable(f"the gateway before Kubeflow Pipelines answers with {status}")
    if status == 404:
        return _nothing_there("404: a page of HTML")
    return _login(f"{status}: a page of HTML")


def _nothing_there(said: str) -> ConnectionRefused:
    return ConnectionRefused(
        f"there is no API of Kubeflow Pipelines at this address ({said})",
        remedy="in the cluster it is `http://ml-pipeline.<namespace>:8888`; behind a gateway it ends in `/pipeline`",
    )


def _code(text: str) -> int | None:
    """The API server's own code; its gateway's answer for a route that there is not has one too, and no details."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not found.get("details"):
        return None
    code = found.get("code")
    return code if isinstance(code, int) else None


def _login(how: str) -> ConnectionRefused:
    return ConnectionRefused(
        f"something before Kubeflow Pipelines wants a login ({how} instead of an answer of the API)",
        remedy="choose a way to authenticate in the connection; behind a gateway the address ends in `/pipeline`",
    )
