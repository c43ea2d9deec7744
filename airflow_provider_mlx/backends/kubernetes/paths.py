"""Where objects stand in the API; source: kubernetes.io/docs/reference/using-api/api-concepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLURALS = {"NetworkPolicy": "networkpolicies"}


def plural_of(kind: str) -> str:
    """The resource of a kind, as ``jobs`` of ``Job``."""
    return _PLURALS.get(kind, f"{kind.lower()}s")


def collection_path(api_version: str, plural: str, namespace: str) -> str:
    """The path of all objects of a kind in a namespace; with an empty one, in the whole cluster."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def object_path(found: Mapping[str, Any]) -> str:
    """The path of an object."""
    place = collection_path(found["apiVersion"], plural_of(found["kind"]), found["metadata"]["namespace"])
    return f"{place}/{found['metadata']['name']}"
