"""Tokens of others, by connections."""

from __future__ import annotations

import json
from types import SimpleNamespace

from airflow_provider_mlx.lineage.server import access
from airflow_provider_mlx.lineage.server.access import senders
from airflow_provider_mlx.lineage.store.rows import Source


def test_a_connection_is_a_token_of_its_namespaces(monkeypatch):
    said = []
    monkeypatch.setattr(access, "log", SimpleNamespace(error=lambda text, *given: said.append(text % given)))
    connections = {
        "SPARK": {"password": "t1", "extra": {"namespaces": ["spark", "emr"]}},
        "OPEN": {"password": "t2"},
        "BARE": {"extra": {"namespaces": ["x"]}},
    }
    for name, given in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic", **given}))
    found = senders(["spark", "open", "bare", "nobody"])
    assert found == {"t1": Source("spark", namespaces=frozenset({"spark", "emr"}))}
    assert [text.split("`")[1] for text in said] == ["open", "bare", "nobody"]
    assert "t2" not in str(said)
