"""These tests are about what a job does with a file, and load models for it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def a_jobs_process(may_unpickle: None) -> None:
    """No Airflow process."""
