"""Where a server of Kubeflow Pipelines is, and how a connection to it is made: values, before anything is opened."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_mlx.exceptions import JobMisconfigured

from .auth import Auth, NoAuth

GATEWAY_PREFIX: Final = "/pipeline"
"""
What stands before ``/apis`` where the API is reached through the page's own server or Kubeflow's gateway.

In the cluster the API server itself (``ml-pipeline.<namespace>:8888``) has no prefix. Source: ``kfp/client/client.py``,
``_get_config_with_default_credentials``, and the routes of ``frontend/server/app.ts``.
"""
_NOT_OF_THE_ADDRESS: Final = re.compile(r"/apis(/.*)?$")
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class ServerAccess:
    """
    One server, and the credentials for it.

    :param address: as :func:`parse_address` gives it.
    :param headers: go with every request, before those of ``auth``.
    :param certificate_authority: PEM; empty for the system's own.
    :param verify: whether the server's certificate is checked.
    :param proxy: URL of a proxy; empty for what the environment says.
    """

    address: str
    auth: Auth = field(default_factory=NoAuth)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate_authority: str = field(default="", repr=False)
    verify: bool = True
    proxy: str = field(default="", repr=False)

    def tls(self) -> ssl.SSLContext:
        """
        The TLS settings of a connection.

        :raises JobMisconfigured: the certificate authority is no PEM text.
        """
        try:
            context = ssl.create_default_context(cadata=self.certificate_authority or None)
        except (ssl.SSLError, ValueError) as error:
            raise JobMisconfigured(
                f"the connection's certificate authority cannot be read: {error}",
                remedy=f"give the text of a PEM file, which begins with {_CERTIFICATE}",
            ) from None
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own authorities often lack what RFC 5280 wants
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def request_headers(self) -> dict[str, str]:
        """The headers of one request, asked for each time: tokens rotate."""
        return {**self.headers, **self.auth.headers()}


def parse_address(text: str) -> str:
    """
    A server's address as the part before ``/apis``.

    :param text: as people have it: with or without the scheme, with the gateway's prefix, the API's path behind it, or
        copied from the browser (``https://host/_/pipeline/?ns=ml#/runs``).
    :raises JobMisconfigured: it is no address of a server.
    """
    text = text.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JobMisconfigured(
            f"{text!r} is no address of a Kubeflow Pipelines server",
            remedy="write it as http://ml-pipeline.kubeflow:8888 or https://kubeflow.example.com/pipeline",
        )
    if "@" in parts.netloc:
        raise JobMisconfigured(
            "the address of the Kubeflow Pipelines server holds a user or a password",
            remedy="leave them out of it, and put them into the connection's own fields",
        )
    path = _NOT_OF_THE_ADDRESS.sub("", parts.path.rstrip("/"))
    if path.startswith("/_/pipeline"):  # the page inside Kubeflow's dashboard
        path = GATEWAY_PREFIX
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}"
