"""Sessions of AWS from an Airflow connection, by the hook of the amazon provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_mlx.exceptions import JobMisconfigured

Session = tuple[Any, Callable[[str], str | None]]
"""A boto3 session, and the endpoint of a service (``None`` for AWS's own)."""


def with_credentials(session: Session, given: Mapping[str, Any]) -> Session:
    """
    A session beside another one, with credentials of STS.

    :param given: ``Credentials`` of an answer of ``AssumeRole``.
    """
    import boto3

    made = boto3.Session(
        aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"], region_name=session[0].region_name,
    )  # fmt: skip
    return made, session[1]


def session_of(connection: Any) -> Session:
    """
    A boto3 session of an Airflow connection that was read already, and the endpoints that it names.

    :param connection: ``None`` for what the environment says.
    """
    try:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    except ImportError as error:
        raise JobMisconfigured(
            "SageMaker needs the amazon provider, which is not installed",
            remedy="pip install 'airflow-provider-mlx[sagemaker]'",
        ) from error

    class Hook(AwsGenericHook):  # type: ignore[type-arg,misc,unused-ignore]
        """Takes the connection that was read already: in a triggerer, nothing may be read by what blocks."""

        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            return connection

    hook: Any = Hook(aws_conn_id=connection.conn_id if connection is not None else None, client_type="sagemaker")
    session = hook.get_session()
    return session, lambda service: hook.conn_config.get_service_endpoint_url(service)
