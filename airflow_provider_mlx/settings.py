"""Every option of the ``[mlx]`` section, read in one place and at run time only (never while a DAG is parsed)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .exceptions import JobMisconfigured

SECTION: Final = "mlx"

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stack": {
        "description": "The stack that runs use unless the step, or the run's declared `mlx_stack` param, names one. "
        "Empty: the stack files' own `default`, else the built-in `local`.",
        "type": "string", "default": "", "example": "prod",
    },
    "stacks_files": {
        "description": "Stack files of the deployment, separated by commas. They come before files in DAG bundles, "
        "and only they may hold a `policy:`.",
        "type": "string", "default": "", "example": "/etc/airflow/mlx_stacks.yaml",
    },
    "bundle_stacks": {
        "description": "Whether `mlx_stacks.yaml` files in DAG bundles count: `allow` or `deny`.",
        "type": "string", "default": "allow", "example": "deny",
    },
    "deployment_id": {
        "description": "A name of this Airflow, part of every job's identity. Required by every backend but `local`: "
        "without it a staging Airflow with the same run ids would adopt production's jobs.",
        "type": "string", "default": "", "example": "prod-eu",
    },
    "allow_local": {
        "description": "Whether steps may run as processes of the worker: `true`, `false`, or `auto`, which allows it "
        "under `dag.test()` and `airflow dags test` only. `local` isolates packages, not trust.",
        "type": "string", "default": "auto", "example": "true",
    },
    "local_root": {
        "description": "Folder for the built-in `local` stack's artifacts, and for the jobs and environments of local "
        "targets that name no `work_dir`. Empty: `mlx` in AIRFLOW_HOME.",
        "type": "string", "default": "", "example": "/var/lib/airflow/mlx",
    },
    "deferrable": {
        "description": "Whether a step that takes longer than a few seconds leaves its worker slot and waits in the "
        "triggerer; a step's own `deferrable=` comes first. Steps on `local` never leave: their job belongs to the "
        "slot. Airflow's `[operators] default_deferrable` is not read: its default cannot be told from a choice.",
        "type": "boolean", "default": "true", "example": "false",
    },
    "inline_kilobytes": {
        "description": "JSON results up to this size (KiB) are pushed to XCom as they are; larger ones as references.",
        "type": "integer", "default": "48", "example": None,
    },
    "heartbeat_seconds": {
        "description": "How often a job says that it lives, in its log.",
        "type": "integer", "default": "30", "example": None,
    },
    "lineage_store": {
        "description": "Where the API server keeps OpenLineage events that are sent to it, as SQLAlchemy's URL of "
        "PostgreSQL, or of SQLite with one API server. Empty: it takes none. Airflow 3.2 or newer.",
        "type": "string", "default": "", "example": "sqlite:////var/lib/airflow/mlx-lineage.db", "sensitive": True,
    },
    "lineage_token": {
        "description": "The token with which this Airflow sends its events to that store: the `apiKey` of "
        "`[openlineage] transport`.",
        "type": "string", "default": "", "example": None, "sensitive": True,
    },
    "lineage_senders": {
        "description": "Connections of others that send events to that store, by their ids, separated by commas: the "
        "password is the token, and `namespaces` in the extra is a list of those whose jobs it may tell of.",
        "type": "string", "default": "", "example": "lineage_spark,lineage_dbt",
    },
    "lineage_retention_days": {
        "description": "Runs that were over so many days ago leave that store, with all that only they told; but not "
        "those that wrote what younger runs still read. 0: never.",
        "type": "integer", "default": "365", "example": None,
    },
}  # fmt: skip
"""What Airflow shows under ``airflow config``; ``provider_info.py`` hands it over."""


@dataclass(frozen=True)
class Settings:
    """The options, parsed."""

    stack: str | None
    stacks_files: tuple[Path, ...]
    bundle_stacks: str
    deployment_id: str
    allow_local: str
    local_root: Path
    deferrable: bool
    inline_bytes: int
    heartbeat_seconds: float


@dataclass(frozen=True)
class LineageSettings:
    """
    Those of the store in the API server.

    :param store: empty where there is none.
    :param token: with which Airflow itself sends.
    :param senders: connections of others that send.
    :param retention_days: 0: for ever.
    """

    store: str
    token: str
    senders: tuple[str, ...] = ()
    retention_days: int = 0


def read_lineage_settings() -> LineageSettings:
    """
    Read those of the store; only the API server needs them.

    :raises JobMisconfigured: an option has a value that it cannot have.
    """
    senders = tuple(part.strip() for part in _text("lineage_senders").split(",") if part.strip())
    return LineageSettings(
        _text("lineage_store"), _text("lineage_token"), senders, _whole("lineage_retention_days", least=0)
    )


def read_settings() -> Settings:
    """
    Read the section through Airflow's configuration.

    :raises JobMisconfigured: an option has a value that it cannot have.
    """
    return Settings(
        stack=_text("stack") or None,
        stacks_files=tuple(
            Path(part.strip()).expanduser() for part in _text("stacks_files").split(",") if part.strip()
        ),
        bundle_stacks=_one_of("bundle_stacks", "allow", "deny"),
        deployment_id=_text("deployment_id"),
        allow_local=_one_of("allow_local", "auto", "true", "false"),
        local_root=Path(_text("local_root") or airflow_home() / "mlx").expanduser(),
        deferrable=_one_of("deferrable", "true", "false") == "true",
        inline_bytes=_whole("inline_kilobytes") * 1024,
        heartbeat_seconds=float(_whole("heartbeat_seconds")),
    )


def airflow_home() -> Path:
    """Airflow's home folder, by its own rule."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()


def _text(option: str) -> str:
    from airflow.providers.common.compat.sdk import conf

    return str(conf.get(SECTION, option, fallback=OPTIONS[option]["default"]) or "").strip()


def _one_of(option: str, *allowed: str) -> str:
    value = _text(option).lower()
    if value not in allowed:
        raise JobMisconfigured(f"[mlx] {option} is {value!r}", remedy=f"set it to {' or '.join(allowed)}")
    return value


def _whole(option: str, *, least: int = 1) -> int:
    value = _text(option)
    if not value.isdigit() or int(value) < least:
        raise JobMisconfigured(f"[mlx] {option} is {value!r}", remedy=f"set it to a whole number from {least}")
    return int(value)
