"""What ``doctor`` asks a Kubernetes cluster, in Airflow's own name. ``None`` is "may not be asked"."""

from __future__ import annotations

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubernetes.client import KubernetesClient, Refused
from airflow_provider_mlx.backends.kubernetes.credentials import ClusterAccess, cluster_access
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured, first_line

from .places import read_connection

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class ClusterFacts:
    """
    One cluster.

    :param conn_id: the connection that leads to it; ``None`` for what the environment says.

    Every question raises ``MlxError`` where the connection leads to no cluster, or the cluster does not answer.
    """

    def __init__(self, conn_id: str | None) -> None:
        self._client = KubernetesClient(lambda: _access(conn_id))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def version(self) -> str:
        """Of the API server, as ``v1.36.3``."""
        return str((self._client.get("/version") or {}).get("gitVersion") or "?")

    def served(self, group: str) -> tuple[str, ...]:
        """The served versions of an API group; none where nothing serves it."""
        found = self._client.get(f"/apis/{group}") or {}
        return tuple(version["version"] for version in found.get("versions") or ())

    def exists(self, path: str) -> bool | None:
        """Whether an object is there."""
        try:
            return self._client.get(path) is not None
        except ConnectionRefused as refused:
            if "(401)" in refused.what:
                raise
            return None

    def may(self, namespace: str, group: str, resource: str, verb: str) -> bool:
        """Whether this identity may do something; source: "Checking API access" of Kubernetes' documentation."""
        name, _, subresource = resource.partition("/")
        asked = {"namespace": namespace, "group": group, "resource": name, "subresource": subresource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        try:
            return bool(self._client.create(_REVIEWS, review)["status"]["allowed"])
        except Refused as refused:
            raise BackendUnavailable(f"the API server does not say what may be done: {refused.message}") from None


def _access(conn_id: str | None) -> ClusterAccess:
    try:
        connection = read_connection(conn_id) if conn_id else None
    except Exception as error:  # Airflow's own, or a secrets backend's
        raise JobMisconfigured(f"the connection `{conn_id}` cannot be read: {first_line(error)}") from error
    return cluster_access(connection)
