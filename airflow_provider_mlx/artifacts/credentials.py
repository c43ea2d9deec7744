"""Opens a stack's artifact store with the credentials of an Airflow connection, by the official providers' hooks."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.runtime.uris import split_uri

from .store import ObjectStore


def open_store(root: str, conn_id: str | None) -> ObjectStore:
    """
    The store under ``root``.

    :param conn_id: an Airflow connection; ``None`` lets the client find credentials in its environment.
    :raises JobMisconfigured: the provider that knows such connections is missing, or the connection holds nothing.
    """
    scheme, _, _ = split_uri(root)
    if scheme in ("file", "memory") or conn_id is None:
        return ObjectStore()
    if scheme == "s3":
        return _s3(conn_id)
    if scheme == "gs":
        return _google(conn_id)
    return _azure(conn_id)


def _s3(conn_id: str) -> ObjectStore:
    try:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    except ImportError as error:
        raise _missing("amazon", "airflow-provider-mlx[sagemaker]", conn_id) from error
    hook: Any = AwsGenericHook(aws_conn_id=conn_id, client_type="s3")
    session = hook.get_session()
    found = session.get_credentials()
    if found is None:
        raise JobMisconfigured(
            f"the connection `{conn_id}` holds no AWS credentials and none are in the environment",
            remedy="give the connection a login and password, a role_arn, or run Airflow under a role",
        )

    def credentials() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()  # refreshes by itself when they expire
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": None,
        }

    options: dict[str, Any] = {"region": session.region_name or hook.region_name or "us-east-1"}
    if endpoint := hook.conn_config.get_service_endpoint_url("s3"):
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    return ObjectStore(options, credentials)


def _google(conn_id: str) -> ObjectStore:
    try:
        from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
    except ImportError as error:
        raise _missing("google", "apache-airflow-providers-google", conn_id) from error
    from obstore.auth.google import GoogleCredentialProvider

    return ObjectStore({}, GoogleCredentialProvider(GoogleBaseHook(gcp_conn_id=conn_id).get_credentials()))


def _azure(conn_id: str) -> ObjectStore:
    try:
        from airflow.providers.microsoft.azure.hooks.wasb import WasbHook
    except ImportError as error:
        raise _missing("microsoft-azure", "apache-airflow-providers-microsoft-azure", conn_id) from error
    from obstore.auth.azure import AzureCredentialProvider

    client: Any = WasbHook(wasb_conn_id=conn_id).get_conn()
    return ObjectStore({"account_name": client.account_name}, AzureCredentialProvider(client.credential))


def _missing(provider: str, package: str, conn_id: str) -> JobMisconfigured:
    return JobMisconfigured(
        f"the connection `{conn_id}` of the artifact store needs the {provider} provider, which is not installed",
        remedy=f"pip install '{package}'",
    )
