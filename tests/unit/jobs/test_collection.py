"""What the log says of a job's time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_mlx.jobs.collection import time_spent

PLANNED = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timings", "said"),
    [
        pytest.param(
            {
                "started_at": "2026-01-02T03:00:12.400+00:00", "install": 31.25, "download": 0.01, "compute": 61,
                "upload": 0.2,
            },
            "queued 12.4 s · install 31.2 s · compute 61.0 s · upload 0.2 s",
            id="every part that took time",
        ),
        pytest.param({"started_at": "2026-01-02T02:59:58+00:00", "compute": 3.0}, "compute 3.0 s", id="clocks differ"),
        pytest.param({"started_at": "2026-01-02T03:00:12", "compute": 3.0}, "compute 3.0 s", id="a time without its zone"),
        pytest.param({"started_at": "\x1b[2J", "compute": "\x1b[2J", "install": float("nan"), "upload": True}, "",
                     id="nothing that is no number is repeated"),
        pytest.param(None, "", id="a container without our runtime"),
    ],
)  # fmt: skip
def test_where_a_jobs_time_went(timings, said):
    assert time_spent(PLANNED, timings) == said
