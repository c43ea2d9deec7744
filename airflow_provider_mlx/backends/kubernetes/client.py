"""The API server as a handful of verbs. It knows HTTP, and nothing of jobs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured

if TYPE_CHECKING:
    import httpx

    from .credentials import ClusterAccess

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
MERGE: Final = "application/merge-patch+json"


class Refused(Exception):
    """
    A definite no, with the server's own words.

    :param code: 403 and 409 and the like; source: the ``Status`` object of the API conventions.
    :param reason: ``AlreadyExists``, ``Forbidden``, ``Invalid``, …
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class KubernetesClient:
    """
    Talks to one API server; may be used by several threads.

    :param access: gives the cluster and its credentials, anew after they were refused.
    """

    def __init__(self, access: Callable[[], ClusterAccess]) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._open: tuple[httpx.Client, ClusterAccess] | None = None

    def get(self, path: str, **params: Any) -> dict[str, Any] | None:
        """An object or a list; ``None``: there is none, definitely."""
        try:
            return self._json("GET", path, params=params)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise self._unexpected("read", path, refused) from None

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        Make an object.

        :raises Refused: it is not made, and the reason says why.
        """
        return self._json("POST", path, body=body, content_type="application/json")

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change an object by a merge patch; ``None``: there is none."""
        try:
            return self._json("PATCH", path, body=body, content_type=MERGE)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise self._unexpected("change", path, refused) from None

    def delete(self, path: str, *, uid: str = "", propagation: str = "Background") -> bool:
        """
        Remove an object; none being there is no error, nor another one under its name.

        :return: whether it is gone; else its finalizers are waited for.
        """
        body: dict[str, Any] = {"propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            answer = self._json("DELETE", path, body=body, content_type="application/json")
        except Refused as refused:
            if refused.code not in (404, 409):
                raise self._unexpected("delete", path, refused) from None
            return True
        return answer.get("kind") == "Status"

    def content(self, path: str, **params: Any) -> bytes:
        """
        An answer as it is.

        :raises Refused: there is no such thing.
        """
        return self._request("GET", path, params=params).content

    def lines(self, path: str, *, read_seconds: float = READ_SECONDS, **params: Any) -> Lines:
        """The lines of an answer as they arrive; asked for when they are iterated."""
        return Lines(lambda: self._stream(path, params, read_seconds))

    def close(self) -> None:
        """Close what is open; nobody may be reading any more."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def _forget_credentials(self) -> None:
        """
        The next request asks for them again.

        What is open is not closed here: another thread may read from it, and would go on reading from whatever gets
        the same file descriptor next.
        """
        with self._lock:
            self._open = None

    # --- HTTP ----------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._request(method, path, **asked).json()
        return found

    def _request(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None,
        content_type: str = "",
    ) -> httpx.Response:  # fmt: skip
        import httpx

        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        for again in (True, False):
            client, access = self._connected()
            try:
                answer = client.request(
                    method, path, params=params, content=content, headers=headers | _credentials(access)
                )
            except httpx.HTTPError as error:
                raise BackendUnavailable(f"no answer from the API server: {type(error).__name__}: {error}") from None
            if answer.status_code == 401 and again:
                self._forget_credentials()  # tokens expire: what the connection says now may be taken
                continue
            self._check(answer.status_code, answer.text if answer.status_code >= 400 else "")
            return answer
        raise AssertionError("unreachable")

    @contextmanager
    def _stream(self, path: str, params: Mapping[str, Any], read_seconds: float) -> Iterator[httpx.Response]:
        import httpx

        client, access = self._connected()
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=read_seconds)
        try:
            with client.stream("GET", path, params=params, headers=_credentials(access), timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    if answer.status_code == 401:
                        self._forget_credentials()
                    self._check(answer.status_code, answer.text)
                yield answer
        except httpx.HTTPError as error:
            raise BackendUnavailable(f"no answer from the API server: {type(error).__name__}: {error}") from None

    def _connected(self) -> tuple[httpx.Client, ClusterAccess]:
        import httpx

        with self._lock:
            if self._open is None:
                access = self._access()
                client = httpx.Client(
                    base_url=access.server, verify=access.tls(), proxy=access.proxy or None,
                    headers={"User-Agent": "airflow-provider-mlx", "Accept": "application/json"},
                    timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                    limits=httpx.Limits(max_connections=100, keepalive_expiry=60.0),
                )  # fmt: skip
                if access.server_name:
                    client.event_hooks["request"].append(_server_name(access.server_name))
                self._open = client, access
            return self._open

    def _check(self, code: int, text: str) -> None:
        if code < 400:
            return
        status = _status(text)
        message = str(status.get("message") or text[:500])
        if code == 401:
            raise ConnectionRefused("the API server does not take the connection's credentials (401)")
        if code == 429 or code >= 500:
            raise BackendUnavailable(f"{code} from the API server: {message}")
        raise Refused(code, str(status.get("reason") or ""), message)

    def _unexpected(self, verb: str, path: str, refused: Refused) -> Exception:
        """A no where only a yes or "there is none" makes sense: rights, which may come back."""
        if refused.code == 403:
            return ConnectionRefused(f"the connection may not {verb} {path}: {refused.message}")
        return JobMisconfigured(f"the API server refuses to {verb} {path}: {refused.code} {refused.message}")


class Lines:
    """
    The lines of one answer, without their line feeds; the last one may have had none. One thread iterates.

    Iterating raises ``Refused`` where there is no such thing, and ``BackendUnavailable`` where the answer breaks off.
    """

    def __init__(self, ask: Callable[[], AbstractContextManager[httpx.Response]]) -> None:
        self._ask = ask
        self._socket: socket.socket | None = None
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        import httpx

        with self._ask() as answer:
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            rest = b""
            try:
                for chunk in answer.iter_bytes():  # as they come: a size would be waited for
                    if self._ended:
                        return
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from whole
            except httpx.HTTPError as error:
                if self._ended:
                    return
                raise BackendUnavailable(f"the answer broke off: {type(error).__name__}") from None
            if rest:
                yield rest

    def end(self) -> None:
        """Have the iteration end soon, from another thread: the socket is shut down, and its reader closes it."""
        self._ended = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _credentials(access: ClusterAccess) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.token()}"} if access.token is not None else {}


def _server_name(name: str) -> Callable[[httpx.Request], None]:
    def set_name(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = name

    return set_name


def _status(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
