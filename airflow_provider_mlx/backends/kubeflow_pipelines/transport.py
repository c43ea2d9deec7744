"""
HTTP to one server: time-outs, credentials, and what may be asked twice.

A call is repeated here only if it changes nothing, or if it was never sent. ``POST /runs`` above all is never repeated:
the server makes the Workflow before it looks whether the run's id is taken, so each request that arrives runs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.exceptions import BackendUnavailable

from .answers import answer_error, parse_answer

if TYPE_CHECKING:
    import httpx

    from .access import ServerAccess

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
PAUSES: Final = (0.2, 1.0)
"""Seconds between the attempts of one call; who calls waits longer by itself, and says why it waits."""
API: Final = "/apis/v2beta1"
_AGAIN: Final = frozenset({429, 502, 503, 504})


class Transport:
    """
    Talks to one server; may be used by several threads.

    :param access: gives the server and its credentials, anew after they were refused.
    :param sleep: waits so many seconds.
    """

    def __init__(self, access: Callable[[], ServerAccess], *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._access = access
        self._sleep = sleep
        self._lock = threading.Lock()
        self._open: tuple[httpx.Client, ServerAccess] | None = None

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """
        Read something.

        :param path: below ``/apis/v2beta1``, or a whole one that holds ``/apis/``.
        :raises Missing: there is no such thing.
        :raises ConnectionRefused: the credentials are not taken (any more); the next call reads the connection again.
        :raises BackendUnavailable: no definite answer.
        """
        return parse_answer(f"GET {path}", self._request("GET", path, params=params, again=True).text)

    def text(self, path: str, **params: Any) -> str:
        """The same for an answer that is no JSON."""
        return self._request("GET", path, params=params, again=True).text

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, again: bool = False, **params: Any
    ) -> dict[str, Any]:
        """
        Change something.

        :param again: whether the same request twice is the same as once.
        :raises Refused: the server says no.
        :raises Conflict: the name or id is taken, or the object is in no state for this.
        :raises BackendUnavailable: it is not known whether it was done.
        """
        content = json.dumps(body if body is not None else {}).encode()
        answer = self._request(
            "POST", path, params=params, again=again, content=content, headers={"Content-Type": "application/json"}
        )
        return parse_answer(f"POST {path}", answer.text)

    def upload(self, path: str, name: str, content: bytes, /, **params: Any) -> dict[str, Any]:
        """Send a file, in the field that the API knows; not repeated."""
        files = {"uploadfile": (name, content, "application/octet-stream")}
        return parse_answer(f"POST {path}", self._request("POST", path, params=params, files=files).text)

    def delete(self, path: str, **params: Any) -> None:
        """Remove something; raises as :meth:`post`."""
        self._request("DELETE", path, params=params, again=True)

    def close(self) -> None:
        """Close what is open; the next call reads the connection again."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def _request(self, method: str, path: str, *, again: bool = False, **asked: Any) -> httpx.Response:
        """One call, repeated where that is harmless."""
        url = path if "/apis/" in path else f"{API}{path}"
        asked["params"] = {key: value for key, value in (asked.get("params") or {}).items() if value not in (None, "")}
        renewed = False
        for pause in (*PAUSES, None):
            client, access = self._connected()
            try:
                answer = self._send(client, access, method, url, asked)
            except _NoAnswer as lost:
                if pause is None or not (again or lost.unsent):
                    raise BackendUnavailable(str(lost), remedy=_remedy(str(lost))) from None
                self._sleep(pause)
                continue
            if answer.status_code == 401:
                self._renew(access)
                if pause is not None and not renewed:  # it was refused before anything was done
                    renewed = True
                    continue
            elif again and pause is not None and answer.status_code in _AGAIN:
                self._sleep(pause)
                continue
            kind = answer.headers.get("content-type", "")
            if (error := answer_error(method, path, answer.status_code, answer.text, kind)) is not None:
                raise error
            return answer
        raise AssertionError("unreachable")

    def _send(
        self, client: httpx.Client, access: ServerAccess, method: str, url: str, asked: Mapping[str, Any]
    ) -> httpx.Response:
        import httpx

        headers = {**access.request_headers(), **(asked.get("headers") or {})}
        try:
            return client.request(method, url, **{**asked, "headers": headers})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NoAnswer(error, unsent=True) from None
        except httpx.HTTPError as error:
            raise _NoAnswer(error, unsent=False) from None

    def _renew(self, access: ServerAccess) -> None:
        """
        The next request has other credentials, if there are any.

        What is open is not closed here: another thread may read from it.
        """
        if access.auth.renew():
            return
        with self._lock:
            if self._open is not None and self._open[1] is access:
                self._open = None

    def _connected(self) -> tuple[httpx.Client, ServerAccess]:
        import httpx

        with self._lock:
            if self._open is None:
                access = self._access()
                client = httpx.Client(
                    base_url=access.address, verify=access.tls(), proxy=access.proxy or None,
                    headers={"User-Agent": "airflow-provider-mlx", "Accept": "application/json"},
                    timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS), follow_redirects=False,
                    limits=httpx.Limits(max_connections=20, keepalive_expiry=60.0),
                )  # fmt: skip
                self._open = client, access
            return self._open


class _NoAnswer(Exception):
    """
    The request, or its answer, was lost.

    :param unsent: the connection was never made, so that even a creation may be sent again.
    """

    def __init__(self, error: Exception, *, unsent: bool) -> None:
        super().__init__(f"no answer from Kubeflow Pipelines: {type(error).__name__}: {error}")
        self.unsent = unsent


def _remedy(said: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "give the connection the certificate authority of the server, as the text of a PEM file"
    return ""
