"""
How a server knows us: values that give the headers of a request.

A server in multi-user mode takes a user's header of its gateway, or a bearer token that a TokenReview with the audience
``pipelines.kubeflow.org`` accepts; in single-user mode it asks for nothing. Source: ``backend/src/apiserver/auth``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from airflow_provider_mlx.backends.base import ConnectionRefused

AUDIENCE: Final = "pipelines.kubeflow.org"
"""Of a token that the API server takes; its own variable ``TOKEN_REVIEW_AUDIENCE`` can name another one."""

TOKEN_FILE: Final = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105  (a path)
"""Where Kubeflow's guide mounts a pod's projected token; source: ``kfp/client/set_volume_credentials.py``."""

RENEW_BEFORE: Final = timedelta(minutes=2)
"""A minted token is renewed so long before its end, so that none ends on its way."""


class Auth(Protocol):
    """One way to be known."""

    def headers(self) -> Mapping[str, str]:
        """
        The headers of one request.

        :raises ConnectionRefused: there are no credentials now.
        """

    def renew(self) -> bool:
        """Forget what was refused; whether there may be something newer, so that asking again makes sense."""


@dataclass(frozen=True)
class NoAuth:
    """A server that asks for nothing: single-user, in the cluster."""

    def headers(self) -> Mapping[str, str]:
        """None."""
        return {}

    def renew(self) -> bool:
        """There is nothing to renew."""
        return False


@dataclass(frozen=True)
class BearerToken:
    """A token that somebody made."""

    token: str = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """``Authorization``."""
        return _bearer(self.token)

    def renew(self) -> bool:
        """It stays what it is."""
        return False


@dataclass(frozen=True)
class TokenFile:
    """A service account's projected token: read at every request, since the kubelet renews the file."""

    path: str = TOKEN_FILE

    def headers(self) -> Mapping[str, str]:
        """``Authorization``."""
        try:
            return _bearer(Path(self.path).read_text().strip())
        except OSError as error:
            raise ConnectionRefused(
                f"the token file {self.path} cannot be read: {error.strerror}",
                remedy="mount a projected service account token there with the audience "
                f"{AUDIENCE}, or choose another way in the connection",
            ) from None

    def renew(self) -> bool:
        """It was read for the request that was refused."""
        return False


@dataclass(frozen=True)
class Token:
    """A minted token; ``expires`` is aware."""

    text: str = field(repr=False)
    expires: datetime


@dataclass
class MintedToken:
    """
    A token that is asked for when it is needed, as by Kubernetes' TokenRequest API or for Google's IAP.

    :param mint: gives a token; whatever it raises is its own.
    :param now: the time, aware.
    """

    mint: Callable[[], Token] = field(repr=False)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)
    _token: Token | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def headers(self) -> Mapping[str, str]:
        """``Authorization``, with a token that lasts a while."""
        with self._lock:
            if self._token is None or self.now() >= self._token.expires - RENEW_BEFORE:
                self._token = self.mint()
            return _bearer(self._token.text)

    def renew(self) -> bool:
        """The next request mints one."""
        with self._lock:
            self._token = None
        return True


@dataclass(frozen=True)
class SessionCookie:
    """
    The cookie of a login at the gateway (Dex, oauth2-proxy), as ``authservice_session=…``.

    It ends when the gateway says so, and nobody here can renew it: for trying things out.
    """

    cookie: str = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """``Cookie``."""
        return {"Cookie": self.cookie}

    def renew(self) -> bool:
        """A person logs in again."""
        return False


@dataclass(frozen=True)
class ExtraHeaders:
    """Headers that a gateway wants, as ``kubeflow-userid`` where it is trusted."""

    given: Mapping[str, str] = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """As given."""
        return dict(self.given)

    def renew(self) -> bool:
        """They stay what they are."""
        return False


def _bearer(token: str) -> dict[str, str]:
    if not token:
        raise ConnectionRefused("the token for Kubeflow Pipelines is empty")
    return {"Authorization": f"Bearer {token}"}
