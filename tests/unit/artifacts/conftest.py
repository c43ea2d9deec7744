"""Stores of every kind that runs without an account."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from tests.contract.conftest import s3_endpoint, s3_store  # noqa: F401  (fixtures)


@pytest.fixture(params=["file", "memory", "s3"])
def place(request, tmp_path):
    """A store and a prefix in it."""
    if request.param == "s3":
        return request.getfixturevalue("s3_store"), f"s3://artifacts/{tmp_path.name}/ü b"
    if request.param == "memory":
        return ObjectStore(), "memory://here/ü b"
    return ObjectStore(), (tmp_path / "ü b").as_uri()
