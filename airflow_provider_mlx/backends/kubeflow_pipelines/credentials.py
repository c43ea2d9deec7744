"""
Where a server is and how it knows us, from an Airflow connection of type ``kubeflow_pipelines`` that was read already.

A connection says one way to be known (``auth``), and the fields of that way; a field of another way is refused, since
it would do nothing. Which ways a server takes: ``auth.py``. Airflow itself is not imported here.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider_mlx.backends.base import no_connections
from airflow_provider_mlx.exceptions import JobMisconfigured, Problem

from .access import ServerAccess, parse_address
from .auth import AUDIENCE, TOKEN_FILE, Auth, BearerToken, ExtraHeaders, MintedToken, NoAuth, SessionCookie, TokenFile
from .minting import GoogleIdentity, ServiceAccountToken

CONNECTION_TYPE: Final = "kubeflow_pipelines"
TOKEN_FILE_VARIABLE: Final = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105  (the name of a variable)
"""Where a pod's projected token is, if not at its usual place; source: ``kfp/client/set_volume_credentials.py``."""

ReadConnection = Callable[[str], Any]


@dataclass(frozen=True)
class Way:
    """
    One way to be known.

    :param needs: fields without which it cannot work; ``password`` is the connection's own.
    :param takes: further ones.
    """

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


WAYS: Final[Mapping[str, Way]] = {
    "none": Way(),  # a single-user server, in the cluster
    "kubernetes": Way(("service_account",), ("kubernetes_conn_id", "service_account_namespace", "audience")),
    "token_file": Way((), ("token_file",)),  # Airflow's own pod has a projected token
    "token": Way(("password",)),
    "cookie": Way(("password",)),  # of a login, for trying things out: nobody can renew it
    "headers": Way(("headers",)),  # a gateway that trusts who sets them
    "google_iap": Way(("client_id",)),
}
"""``auth``, by its values. ``kubernetes`` works from every cluster and every machine, and its tokens are renewed."""
EVERYWHERE: Final = ("auth", "namespace", "certificate_authority", "verify", "proxy", "headers")
EXTRAS: Final = tuple(dict.fromkeys(
    (*EVERYWHERE, *(name for way in WAYS.values() for name in (*way.needs, *way.takes) if name != "password"))
))  # fmt: skip
"""Every extra field of a connection."""
_PREFIX: Final = f"extra__{CONNECTION_TYPE}__"
"""How old forms of Airflow 2 spell extra fields."""
SCHEMES: Final = ("http", "https")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""``token`` of RFC 9110."""
PEM: Final = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class ConnectionFields:
    """
    A connection, read and checked; nothing was asked of it.

    :param conn_id: its name in messages.
    :param auth: a key of ``WAYS``.
    :param password: the token or the cookie.
    :param given: the other extra fields, as text.
    """

    conn_id: str = ""
    address: str = ""
    auth: str = "none"
    password: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool = True
    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def namespace(self) -> str:
        """Of a profile, on a multi-user server; empty where the connection names none."""
        return self.given.get("namespace", "")

    @property
    def kubernetes_conn_id(self) -> str:
        """The connection to Kubernetes that gives the tokens; empty for none, or for what the environment says."""
        return self.given.get("kubernetes_conn_id", "")

    def access(self, read_connection: ReadConnection) -> ServerAccess:
        """The server and the credentials for it."""
        return ServerAccess(
            self.address, self._auth(read_connection),
            headers={} if self.auth == "headers" else self.headers,
            certificate_authority=self.given.get("certificate_authority", ""),
            verify=self.verify, proxy=self.given.get("proxy", ""),
        )  # fmt: skip

    def _auth(self, read_connection: ReadConnection) -> Auth:
        if self.auth == "kubernetes":
            return MintedToken(self._service_account(read_connection).mint)
        if self.auth == "google_iap":
            return MintedToken(GoogleIdentity(self.given["client_id"]).mint)
        if self.auth == "token_file":
            return TokenFile(self.given.get("token_file") or token_file())
        if self.auth == "token":
            return BearerToken(self.password)
        if self.auth == "cookie":
            return SessionCookie(self.password)
        return ExtraHeaders(self.headers) if self.auth == "headers" else NoAuth()

    def _service_account(self, read_connection: ReadConnection) -> ServiceAccountToken:
        """The connection to Kubernetes is read now: who mints a token later may be in a thread that cannot read it."""
        conn_id = self.kubernetes_conn_id
        return ServiceAccountToken(
            connection=read_connection(conn_id) if conn_id else None,
            name=self.given["service_account"],
            namespace=self.given.get("service_account_namespace") or self.namespace,
            audience=self.given.get("audience") or AUDIENCE,
        )


def access_of(connection: Any, *, address: str = "", read_connection: ReadConnection = no_connections) -> ServerAccess:
    """
    A server, and the credentials for it.

    :param connection: ``None`` for what the environment says: the projected token of this pod, if it has one.
    :param address: in place of the connection's, as a target of a stack may have it.
    :param read_connection: gives the connection to Kubernetes that this one names.
    :raises JobMisconfigured: the connection says too little, too much, or something else; all of it at once.
    """
    if connection is None:
        auth = TokenFile(token_file()) if Path(token_file()).is_file() else NoAuth()
        return ServerAccess(parse_address(address), auth)
    return parse_connection(connection, address=address).access(read_connection)


def token_file() -> str:
    """Where this pod's projected token is, if it has one."""
    return os.environ.get(TOKEN_FILE_VARIABLE) or TOKEN_FILE


def parse_connection(connection: Any, *, address: str = "") -> ConnectionFields:
    """
    Read a connection; pure.

    :raises JobMisconfigured: as :func:`access_of`.
    """
    extra = _extra(connection)
    auth = str(extra.get("auth") or "none")
    password = str(getattr(connection, "password", None) or "").strip()
    problems = [
        *_address_problems(connection, address), *_unknown(extra), *_way_problems(auth, extra, password),
        *_value_problems(extra, connection),
    ]  # fmt: skip
    if problems:
        said = "; ".join(map(str, problems))
        raise JobMisconfigured(f"the connection `{connection.conn_id}` to Kubeflow Pipelines cannot be used: {said}")
    return ConnectionFields(
        conn_id=str(connection.conn_id), address=_address(connection, address), auth=auth, password=password,
        headers=_headers(extra.get("headers")) or {}, verify=_flag(extra.get("verify")) is not False,
        given={key: str(value).strip() for key, value in extra.items() if key not in ("auth", "headers", "verify")},
    )  # fmt: skip


def _extra(connection: Any) -> dict[str, Any]:
    """The extra fields that are filled in: forms send empty ones, too."""
    found = getattr(connection, "extra_dejson", None)
    found = found if isinstance(found, Mapping) else {}
    plain = {str(key).removeprefix(_PREFIX): value for key, value in found.items()}
    return {key: value for key, value in plain.items() if value is not None and value != ""}


def _address(connection: Any, address: str) -> str:
    """
    :raises JobMisconfigured: it is none.
    :raises ValueError: its port is none.
    """
    if address:
        return parse_address(address)
    host, scheme = str(connection.host or "").strip(), str(connection.schema or "").strip()
    parts = urlsplit(host if "://" in host else f"{scheme or 'http'}://{host}")
    port = f":{connection.port}" if parts.port is None and connection.port else ""
    return parse_address(f"{parts.scheme}://{parts.netloc}{port}{parts.path}")


def _address_problems(connection: Any, address: str) -> Iterator[Problem]:
    scheme, host = str(connection.schema or "").strip(), str(connection.host or "").strip()
    if not address and scheme and scheme not in SCHEMES:
        # the URI of a connection has its path there
        remedy = "write http or https there, and the whole address, with its path, into the host"
        yield Problem("the schema is neither http nor https", remedy, "schema")
        return
    if not address and not host:
        yield Problem("there is none", "write it as http://ml-pipeline.kubeflow:8888", "host")
        return
    try:
        _address(connection, address)
    except JobMisconfigured as refused:
        yield Problem(refused.what, refused.remedy, "host")
    except ValueError:
        yield Problem("the port is no port", "give a number up to 65535", "port")


def _unknown(extra: Mapping[str, Any]) -> Iterator[Problem]:
    for key in extra:
        if key not in EXTRAS:
            near = difflib.get_close_matches(key, EXTRAS, 1)
            remedy = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(f'`{one}`' for one in EXTRAS)}"
            yield Problem("the connection has no such field", remedy, f"extra.{key}")


def _way_problems(auth: str, extra: Mapping[str, Any], password: str) -> Iterator[Problem]:
    """The fields of the chosen way, all of them and no others; values are not said: they may be secrets."""
    way = WAYS.get(auth)
    if way is None:
        near = difflib.get_close_matches(auth, list(WAYS), 1)
        remedy = f"did you mean `{near[0]}`?" if near else f"choose one of {', '.join(WAYS)}"
        yield Problem("there is no such way to be known", remedy, "extra.auth")
        return
    given = {*extra, *(["password"] if password else [])}
    for name in way.needs:
        if name not in given:
            yield Problem(f"auth `{auth}` needs it", "fill it in, or choose another `auth`", _field(name))
    for name in sorted(given & {"password", *EXTRAS} - {*EVERYWHERE, *way.needs, *way.takes}):
        ways = " or ".join(f"`{one}`" for one, other in WAYS.items() if name in (*other.needs, *other.takes))
        yield Problem(f"auth `{auth}` does not use it", f"leave it out, or set `auth` to {ways}", _field(name))
    if auth == "kubernetes" and not given & {"namespace", "service_account_namespace"}:
        yield Problem("it is not said where the service account is", "fill it in", _field("service_account_namespace"))


def _value_problems(extra: Mapping[str, Any], connection: Any) -> Iterator[Problem]:
    if getattr(connection, "login", None):
        yield Problem("no way to be known uses it", "leave it empty", "login")
    if not _is_object(getattr(connection, "extra", None)):
        yield Problem("it is no JSON object", 'write it as {"auth": "none"}', "extra")
    if _flag(extra.get("verify")) is None:
        yield Problem("it is neither true nor false", "write true or false", "extra.verify")
    if _headers(extra.get("headers")) is None:
        yield Problem("it is no JSON object of texts", 'write it as {"kubeflow-userid": "me"}', "extra.headers")
    if "certificate_authority" in extra and PEM not in str(extra["certificate_authority"]):
        remedy = f"give the text of a PEM file, which begins with {PEM}"
        yield Problem("it is no certificate", remedy, "extra.certificate_authority")
    if "proxy" in extra:
        parts = urlsplit(str(extra["proxy"]))
        if parts.scheme not in SCHEMES or not parts.hostname:
            yield Problem("it is no address of a proxy", "write it as http://proxy.example.com:3128", "extra.proxy")


def _headers(given: Any) -> dict[str, str] | None:
    """The headers; ``None``: they cannot be read."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return None
    found = {str(name): str(value) for name, value in given.items() if isinstance(value, (str, int))}
    return found if len(found) == len(given) and all(_is_header(*one) for one in found.items()) else None


def _is_header(name: str, value: str) -> bool:
    return bool(_HEADER_NAME.fullmatch(name)) and value.isascii() and value.isprintable()


def _is_object(extra: Any) -> bool:
    """Whether Airflow can read the field: what it cannot read is empty to it."""
    if not isinstance(extra, str) or not extra.strip():
        return True
    try:
        return isinstance(json.loads(extra), dict)
    except ValueError:
        return False


def _flag(value: Any) -> bool | None:
    """``True`` where it is not said; ``None``: it is neither true nor false."""
    if value is None or isinstance(value, bool):
        return value is not False
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def _field(name: str) -> str:
    return name if name == "password" else f"extra.{name}"
