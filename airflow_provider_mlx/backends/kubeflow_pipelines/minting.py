"""Tokens that are asked for when they are needed: of a service account in Kubernetes, and for Google's IAP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubernetes.client import KubernetesClient, Refused
from airflow_provider_mlx.backends.kubernetes.credentials import cluster_access
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured

from .auth import AUDIENCE, Token

TOKEN_SECONDS: Final = 3600
"""Asked for; the API server may give a longer one, or a shorter one. It takes 600 at the least."""


@dataclass(frozen=True)
class ServiceAccountToken:
    """
    Tokens of a service account, by Kubernetes' TokenRequest API: no pod, no file and no secret of long life.

    Source: kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1.

    :param connection: Airflow's, to the cluster; ``None`` for what the environment says.
    """

    connection: Any = field(repr=False)
    name: str
    namespace: str
    audience: str = AUDIENCE

    def mint(self) -> Token:
        """
        A new token.

        :raises ConnectionRefused: the connection to Kubernetes has no right to it, or its credentials are not taken.
        :raises BackendUnavailable: the API server gives no answer.
        :raises JobMisconfigured: there is no such service account.
        """
        client = KubernetesClient(lambda: cluster_access(self.connection))
        body = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [self.audience], "expirationSeconds": TOKEN_SECONDS},
        }  # fmt: skip
        try:
            return self._token(client.create(self._path, body))
        except Refused as refused:
            raise self._no_token(refused) from None
        finally:
            client.close()

    @property
    def _path(self) -> str:
        namespace, name = quote(self.namespace, safe=""), quote(self.name, safe="")
        return f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"

    def _token(self, answer: Mapping[str, Any]) -> Token:
        status = answer.get("status") or {}
        try:
            return Token(str(status["token"]), datetime.fromisoformat(status["expirationTimestamp"]).astimezone(UTC))
        except (KeyError, TypeError, ValueError):
            raise BackendUnavailable("Kubernetes answers a TokenRequest without a token") from None

    def _no_token(self, refused: Refused) -> Exception:
        account = f"`{self.name}` in the namespace `{self.namespace}`"
        if refused.code == 404:
            return JobMisconfigured(
                f"Kubernetes has no service account {account}",
                remedy="correct `service_account` and `service_account_namespace` in the connection to Kubeflow "
                "Pipelines",
            )
        said = f"Kubernetes gives no token of the service account {account}: {refused.message}"
        if refused.code == 403:
            return ConnectionRefused(
                said,
                remedy="let the user of the connection to Kubernetes `create` the resource `serviceaccounts/token` "
                f"of the name `{self.name}` there",
            )
        return JobMisconfigured(said, remedy="correct the connection to Kubeflow Pipelines")


@dataclass(frozen=True)
class GoogleIdentity:
    """
    Identity tokens for Google's Identity-Aware Proxy, of the application default credentials.

    Source: cloud.google.com/iap/docs/authentication-howto.

    :param client_id: the OAuth client of the proxy: the token's audience.
    """

    client_id: str

    def mint(self) -> Token:
        """
        A new token.

        :raises JobMisconfigured: ``google-auth`` is not installed, or there are no credentials that give such tokens.
        :raises BackendUnavailable: Google gives no answer.
        """
        try:
            from google.auth import exceptions
            from google.auth.transport.requests import Request
            from google.oauth2.id_token import fetch_id_token_credentials
        except ImportError as error:
            raise JobMisconfigured(
                "a server behind Google's IAP needs `google-auth`, which is not installed",
                remedy="pip install apache-airflow-providers-google",
            ) from error
        try:
            credentials = fetch_id_token_credentials(self.client_id, request=Request())
            credentials.refresh(Request())
        except exceptions.DefaultCredentialsError as error:
            raise JobMisconfigured(
                f"there are no credentials of Google that give identity tokens: {error}",
                remedy="run Airflow as a service account of Google, or name the file of its key in "
                "GOOGLE_APPLICATION_CREDENTIALS",
            ) from None
        except (exceptions.RefreshError, exceptions.TransportError) as error:
            raise BackendUnavailable(f"Google gives no identity token: {error}") from None
        return Token(str(credentials.token), credentials.expiry.replace(tzinfo=UTC))
