"""
Where a cluster is and how it knows us, from an Airflow connection of type ``kubernetes``.

The plain forms (in cluster, a kubeconfig with a token or a certificate) are read here: they are files whose format is
documented, and the official hook imports two Kubernetes clients, which costs every task process three seconds. All
other forms, exec plugins and cloud providers above all, go through the hook of the cncf.kubernetes provider;
``tests/unit/backends/kubernetes/test_credentials.py`` holds both ways together.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.exceptions import JobMisconfigured

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Source: kubernetes.io/docs/tasks/run-application/access-api-from-pod."""

_PREFIX: Final = "extra__kubernetes__"
"""How connections of Airflow before 2.3 spell their extra fields."""


@dataclass(frozen=True)
class ClusterAccess:
    """
    One cluster's API server, and the credentials for it.

    :param certificate_authority: PEM; empty for the system's own.
    :param token: gives the bearer token of this moment; it is asked at every request, since tokens rotate.
    :param client_certificate: PEM of certificate and key.
    :param server_name: the name in the server's certificate, where it is not that of the address.
    """

    server: str
    certificate_authority: str = ""
    verify: bool = True
    token: Callable[[], str] | None = None
    client_certificate: tuple[str, str] | None = None
    server_name: str = ""
    proxy: str = ""

    def tls(self) -> ssl.SSLContext:
        """The TLS settings of a connection."""
        context = ssl.create_default_context()
        if self.certificate_authority:
            context = ssl.create_default_context(cadata=self.certificate_authority)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own authorities often lack what RFC 5280 wants
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            # The ssl module reads certificates from files only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write("\n".join(self.client_certificate))
                file.flush()
                context.load_cert_chain(file.name)
        return context


def cluster_access(connection: Any) -> ClusterAccess:
    """
    The cluster of an Airflow connection; ``None`` for what the environment says, as the official hook takes it.

    :raises JobMisconfigured: the connection says nothing that leads to a cluster.
    """
    extra = connection_extra(connection)
    plain = plain_access(extra)
    return plain if plain is not None else _by_hook(connection)


def connection_extra(connection: Any) -> dict[str, Any]:
    """The extra fields of a connection, whichever way they are spelled; empty ones left out."""
    found = dict(getattr(connection, "extra_dejson", None) or {})
    plain = {key.removeprefix(_PREFIX): value for key, value in found.items()}
    return {key: value for key, value in plain.items() if value not in (None, "", False)}


def plain_access(extra: Mapping[str, Any]) -> ClusterAccess | None:
    """What can be read without a client of the vendor's; ``None`` where it takes one."""
    sources = [name for name in ("in_cluster", "kube_config", "kube_config_path") if extra.get(name)]
    verify = not _flag(extra.get("disable_verify_ssl"))
    if len(sources) > 1 or verify is False:  # the hook says what is wrong, and switches the check off its own way
        return None
    if not sources:
        return _in_cluster() if SERVICE_ACCOUNT.is_dir() else None
    if sources == ["in_cluster"]:
        return _in_cluster()
    try:
        if sources == ["kube_config"]:
            given = extra["kube_config"]
            config, folder = (given if isinstance(given, dict) else json.loads(given)), Path()
        else:
            import yaml

            path = Path(extra["kube_config_path"]).expanduser()
            config, folder = yaml.safe_load(path.read_text()), path.parent
        return _of_kubeconfig(config, folder, str(extra.get("cluster_context") or ""))
    except (OSError, ValueError, KeyError, StopIteration, TypeError, AttributeError):
        return None  # the hook reads more forms than this, and its errors are the ones that users know


def _in_cluster() -> ClusterAccess | None:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    authority, token = SERVICE_ACCOUNT / "ca.crt", SERVICE_ACCOUNT / "token"
    if not host or not authority.is_file() or not token.is_file():
        return None
    return ClusterAccess(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        certificate_authority=authority.read_text(),
        token=lambda: token.read_text().strip(),  # the kubelet renews the file
    )


def _of_kubeconfig(config: Mapping[str, Any], folder: Path, context_name: str) -> ClusterAccess | None:
    """Source: kubernetes.io/docs/reference/config-api/kubeconfig.v1."""
    context = _named(config["contexts"], context_name or config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"] if context.get("user") else {}
    if set(user) - {"token", "client-certificate-data", "client-key-data", "client-certificate", "client-key"}:
        return None
    if cluster.get("insecure-skip-tls-verify"):
        return None
    certificate, key = (_data(user, f"client-{part}", folder) for part in ("certificate", "key"))
    token = str(user.get("token") or "")
    return ClusterAccess(
        server=str(cluster["server"]).rstrip("/"),
        certificate_authority=_data(cluster, "certificate-authority", folder),
        token=(lambda: token) if token else None,
        client_certificate=(certificate, key) if certificate and key else None,
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
    )


def _named(entries: Any, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(entry for entry in entries if entry["name"] == name)
    return found


def _data(entry: Mapping[str, Any], field: str, folder: Path) -> str:
    if inline := entry.get(f"{field}-data"):
        return base64.b64decode(inline).decode()
    path = entry.get(field)
    return (folder / path).read_text() if path else ""


def _flag(value: object) -> bool:
    return str(value).strip().lower() in ("1", "true", "yes", "on")


def _by_hook(connection: Any) -> ClusterAccess:
    try:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    except ImportError as error:
        raise JobMisconfigured(
            "this connection to Kubernetes needs the cncf.kubernetes provider, which is not installed",
            remedy="pip install 'airflow-provider-mlx[kubernetes]'",
        ) from error

    class Hook(KubernetesHook):
        """Takes the connection that was read already: in a triggerer, nothing may be read by what blocks."""

        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            return connection

    given = connection is not None
    try:
        api = Hook(conn_id=connection.conn_id if given else None, kubernetes_conn_id=None).get_conn()
    except Exception as error:  # what the vendor's client and exec plugins raise is anything
        raise JobMisconfigured(
            f"the connection `{connection.conn_id if given else 'of the environment'}` leads to no cluster: "
            f"{type(error).__name__}: {error}",
            remedy="set one of in_cluster, kube_config and kube_config_path in its extra fields",
        ) from error
    return _of_configuration(api.configuration)


def _of_configuration(found: Any) -> ClusterAccess:
    """The configuration of the vendor's client, whose hook renews tokens when they are asked for."""

    def token() -> str:
        text = found.get_api_key_with_prefix("authorization") or found.get_api_key_with_prefix("BearerToken") or ""
        return str(text).partition(" ")[2] if text.lower().startswith("bearer ") else str(text)

    pair = (found.cert_file, found.key_file)
    return ClusterAccess(
        server=str(found.host).rstrip("/"),
        certificate_authority=Path(found.ssl_ca_cert).read_text() if found.ssl_ca_cert else "",
        verify=bool(found.verify_ssl),
        token=token if token() else None,
        client_certificate=(Path(pair[0]).read_text(), Path(pair[1]).read_text()) if all(pair) else None,
        server_name=str(getattr(found, "tls_server_name", "") or ""),
        proxy=str(found.proxy or ""),
    )
