"""
The form of a connection to Kubeflow Pipelines: one table, for both ways in which Airflow asks for it.

Airflow 3.2 and newer read it from the provider's description, without importing the hook; older ones ask the hook for
widgets. What the fields mean is said by ``backends/kubeflow_pipelines/credentials.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CONNECTION_TYPE: Final = "kubeflow_pipelines"
HOOK_NAME: Final = "Kubeflow Pipelines"

_TEXT: Final = {"type": ["string", "null"]}
_SECRET: Final = {**_TEXT, "format": "password"}

FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "auth": {
        "label": "Authentication",
        "description": "`kubernetes`: a token of a service account, by a connection to its cluster. `token_file`: the "
        "projected token of Airflow's own pod. `token`, `cookie`: the password. `headers`: those below. `google_iap`: "
        "an identity token of Google. `none`: a single-user server.",
        "schema": {
            **_TEXT, "default": "none",
            "enum": ["none", "kubernetes", "token_file", "token", "cookie", "headers", "google_iap"],
        },
    },
    "namespace": {
        "label": "Namespace",
        "description": "Of a profile, on a multi-user server.",
        "schema": _TEXT,
    },
    "kubernetes_conn_id": {
        "label": "Kubernetes connection id",
        "description": "For `kubernetes`: the connection to the server's cluster; empty: Airflow's own cluster.",
        "schema": _TEXT,
    },
    "service_account": {
        "label": "Service account",
        "description": "For `kubernetes`: whose token is asked for, as `default-editor`.",
        "schema": _TEXT,
    },
    "service_account_namespace": {
        "label": "Service account's namespace",
        "description": "For `kubernetes`; empty: the namespace above.",
        "schema": _TEXT,
    },
    "audience": {
        "label": "Audience",
        "description": "For `kubernetes`; empty: `pipelines.kubeflow.org`, unless the server says otherwise.",
        "schema": _TEXT,
    },
    "token_file": {
        "label": "Token file",
        "description": "For `token_file`; empty: where Kubeflow's guide mounts it.",
        "schema": _TEXT,
    },
    "client_id": {
        "label": "OAuth client id",
        "description": "For `google_iap`: of the proxy.",
        "schema": _TEXT,
    },
    "headers": {
        "label": "Headers (JSON)",
        "description": 'Go with every request, as {"kubeflow-userid": "me@example.com"}.',
        "schema": _SECRET,
    },
    "certificate_authority": {
        "label": "Certificate authority (PEM)",
        "description": "That signed the server's certificate; empty: the system's own.",
        "schema": {**_TEXT, "format": "multiline"},
    },
    "verify": {
        "label": "Check the server's certificate",
        "description": "`true` or `false`.",
        # text: a checkbox of Airflow 2 saves what is not set as false
        "schema": {**_TEXT, "default": "true", "enum": ["true", "false"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "As http://proxy.example.com:3128; empty: what the environment says.",
        "schema": _TEXT,
    },
}  # fmt: skip
"""Extra field → its label, its description and its JSON schema, as ``conn-fields`` of a provider's description."""

HIDDEN: Final = ("login", "extra")
RELABELING: Final[Mapping[str, str]] = {
    "host": "Address",
    "schema": "Scheme",
    "password": "Token or cookie",
}
PLACEHOLDERS: Final[Mapping[str, str]] = {
    "host": "ml-pipeline.kubeflow or https://kubeflow.example.com/pipeline",
    "port": "8888",
    "schema": "http",
}


def connection_types() -> list[dict[str, Any]]:
    """``connection-types`` of the provider's description."""
    return [
        {
            "connection-type": CONNECTION_TYPE,
            "hook-class-name": "airflow_provider_mlx.hooks.kubeflow_pipelines.KubeflowPipelinesHook",
            "hook-name": HOOK_NAME,
            "conn-fields": {name: dict(field) for name, field in FIELDS.items()},
            "ui-field-behaviour": {
                "hidden-fields": list(HIDDEN),
                "relabeling": dict(RELABELING),
                "placeholders": dict(PLACEHOLDERS),
            },
        }
    ]
