"""
One name for one thing: datasets by their URI, child jobs and their runs by the identity of the step.

Dataset names follow https://openlineage.io/docs/spec/naming for object stores, files and the common databases. The same
function names what Airflow's assets, a step's arguments and its outputs point at, so that a graph joins them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.step.identity import TaskInstanceIdentity, path_segment

START_MARK: Final = "lineage-start"
END_MARK: Final = "lineage-end"
"""Objects in an attempt's folder: its START was told, and its end was."""

ROOT: Final = "/"
"""The name of a whole bucket, or of the file system's root: a name must not be empty."""

_ALIASES: Final[Mapping[str, str]] = {
    "s3a": "s3", "s3n": "s3", "gcs": "gs",
    "az": "abfss", "adl": "abfss", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss", "azure": "abfss",
    "postgresql": "postgres",
}  # fmt: skip

_TABLES: Final[Mapping[str, str]] = {
    "postgres": "5432", "mysql": "3306", "redshift": "5439", "trino": "8080", "snowflake": "",
}  # fmt: skip
"""Scheme → default port; their names are ``database.schema.table``."""

_HTTP: Final = frozenset({"http", "https"})

# The stores' own HTTP addresses, as presigned URLs have them: the same object as under the store's scheme.
_ADDRESSES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]+)\.s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?"), "s3"),
    (re.compile(r"s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?"), "s3"),
    (re.compile(r"(?P<bucket>[a-z0-9][a-z0-9._-]+)\.storage\.googleapis\.com"), "gs"),
    (re.compile(r"storage\.(?:cloud\.google|googleapis)\.com"), "gs"),
    (re.compile(r"(?P<account>[a-z0-9]+)\.(?:blob|dfs)\.core\.windows\.net"), "abfss"),
)

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OUTPUT: Final = re.compile(r"(?P<root>.*?)/?runs/(?P<deployment>[^/]+)/(?P<dag>[^/]+)/[^/]+/(?P<task>[^/]+)/[^/]+/(?:attempt-\d+|saved-\d+/[^/]+)/outputs/[^/]+")  # fmt: skip # noqa: E501
"""An output's place in the artifact root (``jobs/ledger.py``)."""
_ROUND: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, order=True)
class DatasetName:
    """
    What OpenLineage calls a dataset.

    :param uri: the canonical URI; two spellings of one place have one.
    """

    namespace: str
    name: str
    uri: str


@dataclass(frozen=True)
class RunName:
    """One run of one job: what a ``parent`` facet points at."""

    namespace: str
    job: str
    run_id: str


def canonical(uri: str) -> DatasetName:
    """
    The dataset that a URI, or an absolute path, names.

    User information, query and fragment never survive: they are where credentials stand. So an object whose key
    really holds ``?`` or ``#`` goes by the part before it.

    :raises ValueError: it is neither a URI nor an absolute path, or names no bucket or host. The message does not
        repeat it.
    """
    text = _UNPRINTABLE.sub("", uri).strip()
    if text.startswith("/"):
        return _file("", quote(text, safe="/%:@!$&'()*+,;=~-._ "))
    match = _SCHEME.fullmatch(text)
    if match is None:
        if text.lower().startswith("file:/"):
            return _file("", _without_query(text[len("file:") :]))
        raise ValueError("neither a URI nor an absolute path")
    scheme, rest = match[1].lower(), _without_query(match[2])
    authority, _, path = rest.partition("/")
    scheme = _ALIASES.get(scheme, scheme)
    if scheme == "file":
        return _file(authority, "/" + path)
    if scheme in _HTTP:
        scheme, authority, path = _as_store(scheme, _without_user(authority).lower(), path)
    if scheme == "bigquery":
        parts = [part for part in (_without_user(authority), *path.split("/")) if part]
        return _named("bigquery", ".".join(parts), f"bigquery://{'/'.join(parts)}")
    authority = _azure(authority) if scheme == "abfss" else _without_user(authority)
    if not authority:
        raise ValueError(f"a URI of the scheme {scheme} that names no bucket or host")
    if scheme in _TABLES:
        return _table(scheme, authority.lower(), path)
    return _plain(scheme, authority, path)


def _plain(scheme: str, authority: str, path: str) -> DatasetName:
    name = path.strip("/").strip()
    return _named(f"{scheme}://{authority}", name, f"{scheme}://{authority}/{name}")


def _named(namespace: str, name: str, uri: str) -> DatasetName:
    return DatasetName(namespace, name or ROOT, uri)


def _file(host: str, path: str) -> DatasetName:
    host = _without_user(host).lower()
    absolute = "/" + "/".join(part for part in path.split("/") if part.strip()).strip()
    if host in ("", "localhost"):
        return DatasetName("file", absolute, f"file://{absolute}")
    return DatasetName(f"file://{host}", absolute, f"file://{host}{absolute}")


def _table(scheme: str, authority: str, path: str) -> DatasetName:
    port = _TABLES[scheme]
    if port and ":" not in authority:
        authority = f"{authority}:{port}"
    parts = [part.strip() for part in path.split("/") if part.strip()]
    return _named(f"{scheme}://{authority}", ".".join(parts), f"{scheme}://{authority}/{'/'.join(parts)}")


def _as_store(scheme: str, host: str, path: str) -> tuple[str, str, str]:
    """An HTTP address of a store as the store's own scheme; any other address as it is."""
    for pattern, store in _ADDRESSES:
        match = pattern.fullmatch(host.partition(":")[0])
        if match is None:
            continue
        bucket = match.groupdict().get("bucket")
        if bucket is None:  # the bucket or container is the path's first part
            bucket, _, path = path.lstrip("/").partition("/")
        account = match.groupdict().get("account")
        if bucket:
            return store, f"{bucket}@{account}.dfs.core.windows.net" if account else bucket, path
    return scheme, host, path


def _azure(authority: str) -> str:
    """``container@account.dfs.core.windows.net``; only a container where the account is not said."""
    container, at, host = authority.rpartition("@")
    if not at:
        return host.partition(":")[0]
    host = host.lower().partition(":")[0].replace(".blob.core.", ".dfs.core.")
    container = container.rpartition("@")[2].partition(":")[0]  # what follows a colon would be a password
    return f"{container}@{host}" if container else host


def _without_query(text: str) -> str:
    return re.split(r"[?#]", text, maxsplit=1)[0]


def _without_user(authority: str) -> str:
    return authority.rpartition("@")[2].strip()


def output_name(reference: ArtifactReference) -> tuple[DatasetName, DatasetName]:
    """
    The dataset that a step's output is, and the object that holds it this time.

    Every attempt writes an object of its own, and consumers do not group by prefix: the dataset therefore goes by
    ``{root}/outputs/{deployment}/{dag}/{task}/{output}``, the same in every run, and the object is a symbolic link to
    it. Both are the same for an artifact that does not lie where steps write.

    :raises ValueError: see :func:`canonical`.
    """
    place = canonical(reference.uri)
    match = _OUTPUT.fullmatch(place.name)
    if match is None:
        return place, place
    parts = [match["root"], "outputs", match["deployment"], match["dag"], match["task"], path_segment(reference.name)]
    name = "/".join(part for part in parts if part)
    if place.name.startswith("/") and not name.startswith("/"):
        name = "/" + name
    separator = "" if name.startswith("/") else "/"
    base = "file://" if place.namespace == "file" else place.namespace
    return DatasetName(place.namespace, name, f"{base}{separator}{name}"), place


def job_name(dag_id: str, task_id: str, step: str) -> str:
    """The child job's name: prefixed by its parent's, which consumers that show a hierarchy insist on."""
    return f"{dag_id}.{task_id}.{step}"


def inner_job_name(child: str, task: str) -> str:
    """
    The name of one of a job's tasks, below the job's own.

    :param task: with the groups around it; the rounds of a loop are runs of one job.
    """
    return f"{child}.{_ROUND.sub('', task).replace('/', '.')}"


def step_name(payload: Mapping[str, Any] | None, other: str = "") -> str:
    """
    The stable name of what runs, never that of a generated job: the function, the script's stem, the pipeline, or
    ``command``.

    :param payload: as in ``context.json``; ``None`` where no code of the step runs.
    :param other: what runs then, by the backend's word.
    """
    if not payload:
        return other or "command"
    if payload.get("kind") == "script":
        return PurePosixPath(str(payload.get("path") or "script")).stem or "script"
    return str(payload.get("function") or "function")


def run_id(namespace: str, identity: TaskInstanceIdentity, attempt: int, instant: datetime) -> str:
    """
    The child run's id: the same wherever and whenever it is asked for, and known before anything is submitted.

    A new attempt is a new run; an attempt that a later try adopts stays the run that it was.

    :param namespace: OpenLineage's, of this Airflow.
    :param instant: aware; the DAG run's logical date, or when it could first run.
    """
    from openlineage.client.uuid import generate_static_uuid  # its package brings the whole client

    return str(generate_static_uuid(instant, f"{namespace}|mlx|{identity.digest}|{attempt}".encode()))


def inner_run_id(namespace: str, backend: str, job: str, task: str, started: datetime) -> str:
    """
    The id of the run of one of a job's tasks: of the job on its backend, so that a resumed job's finished tasks stay
    the runs that they were.

    :param job: the backend's own id of it.
    :param started: when the task began, by the backend's clock.
    """
    from openlineage.client.uuid import generate_static_uuid

    return str(generate_static_uuid(started, f"{namespace}|mlx|{backend}|{job}|{task}".encode()))
