"""A thin client of a Kubernetes API, for what tests must do beside what they test."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from .problems import ApiRefused, PartMissing

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML too
FIELD_MANAGER = "tests-cluster"


class Api:
    """
    The API server that a kubeconfig names.

    :param kubeconfig: its current context must have a token or a client certificate.
    :raises PartMissing: the kubeconfig asks for a program or a provider that only kubectl has.
    """

    def __init__(self, kubeconfig: Path) -> None:
        cluster, user = _current(yaml.safe_load(kubeconfig.read_text()))
        self.url: str = cluster["server"].rstrip("/")
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        headers = {}
        if token := user.get("token") or _text(user, "tokenFile"):
            headers["Authorization"] = f"Bearer {token.strip()}"
        elif certificate := _text(user, "client-certificate"):
            _load_pair(context, certificate, _text(user, "client-key") or "")
        else:
            raise PartMissing(
                f"{kubeconfig} has neither a token nor a client certificate → make one that has, "
                "for instance with `kubectl create token`"
            )
        # a proxy of the environment is for the world outside
        self._client = httpx.Client(base_url=self.url, headers=headers, verify=context, trust_env=False)

    def request(
        self, method: str, path: str, body: object = None, content_type: str = JSON, *, seconds: float = 15
    ) -> Any:
        """
        Ask, and return the answer: parsed, or as text where it is no JSON.

        :raises ApiRefused: the answer is not a success.
        """
        answer = self._client.request(
            method, path, json=body, headers={"Content-Type": content_type} if body is not None else {}, timeout=seconds
        )
        parsed = answer.json() if answer.headers.get("Content-Type", "").startswith(JSON) else answer.text
        if answer.is_success:
            return parsed
        said = parsed if isinstance(parsed, dict) else {"message": parsed}
        raise ApiRefused(method, path, answer.status_code, said.get("reason", ""), said.get("message", ""))

    def get(self, path: str) -> Any:
        """Read an object or a list."""
        return self.request("GET", path)

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Every object of a collection as it is from now on: after each of its changes, until the server ends it."""
        version = self.get(path)["metadata"]["resourceVersion"]
        wanted = {"watch": "true", "resourceVersion": version}
        with (
            contextlib.suppress(httpx.TransportError),
            self._client.stream("GET", path, params=wanted, timeout=None) as answer,
        ):
            for line in answer.iter_lines():
                yield json.loads(line)["object"]

    def apply(self, manifest: Mapping[str, Any]) -> Any:
        """Create or change an object by server-side apply, which bears CRDs of any size."""
        return self.request(
            "PATCH", f"{self.path_of(manifest)}?fieldManager={FIELD_MANAGER}&force=true", manifest, APPLY
        )

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is as good."""
        try:
            self.request("DELETE", path)
        except ApiRefused as error:
            if error.status != 404:
                raise

    def path_of(self, manifest: Mapping[str, Any]) -> str:
        """Where an object of this kind, namespace and name is."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        namespace = metadata.get("namespace")
        scope = f"{root}/namespaces/{namespace}" if namespace else root
        return f"{scope}/{self._plural(root, manifest['kind'])}/{metadata['name']}"

    @functools.lru_cache(maxsize=256)  # noqa: B019  # a handful of clients a session
    def _plural(self, root: str, kind: str) -> str:
        for resource in self.get(root)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return str(resource["name"])
        raise ApiRefused("GET", root, 404, "NotFound", f"no resource of kind {kind}; is its CRD applied?")


def _current(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user of the current context."""

    def named(kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(entry for entry in config[f"{kind}s"] if entry["name"] == name)[kind]
        return found

    context = named("context", config["current-context"])
    return named("cluster", context["cluster"]), named("user", context["user"])


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    """A kubeconfig holds a file's path under a key, or what is in it, in base64, under ``<key>-data``."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data).decode()
    return Path(entry[key]).read_text() if entry.get(key) else None


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """The ssl module reads pairs from files alone."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        context.load_cert_chain(file.name)
