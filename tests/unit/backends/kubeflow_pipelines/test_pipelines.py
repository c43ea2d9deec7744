"""Registered pipelines, their versions, and recurring runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess
from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Refused
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import (
    PipelineRegistry,
    RecurringRuns,
    cron_trigger,
    periodic_trigger,
)
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.unit.backends.kubeflow_pipelines.schema import check_wire
from tests.unit.backends.kubeflow_pipelines.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def client(server: Server) -> Iterator[KubeflowPipelinesClient]:
    made = KubeflowPipelinesClient(lambda: ServerAccess(server.url), sleep=lambda _: None)
    yield made
    made.close()


@pytest.fixture
def registry(client: KubeflowPipelinesClient) -> PipelineRegistry:
    return PipelineRegistry(client)


@pytest.mark.parametrize(
    "newer", [True, False], ids=["a server that has names", "an older one, which refuses the field"]
)
def test_a_version_is_uploaded_once_by_its_name(registry, server, newer):
    server.knows_pipeline_names = newer
    first = registry.ensure_version("churn", "sha-1", "a: 1")
    assert registry.ensure_version("churn", "sha-1", "a: 1")["pipeline_version_id"] == first["pipeline_version_id"]
    registry.ensure_version("churn", "sha-2", "a: 2")
    assert [one["name"] for one in server.versions] == ["sha-1", "sha-2"]
    assert b"a: 1" in server.uploads[0]
    assert b'name="uploadfile"' in server.uploads[0]


def test_an_upload_whose_answer_was_lost_is_found_by_its_name(registry, server):
    registry.ensure_version("churn", "sha-0", "a: 0")
    server.faults = [None, None, "lost"]
    with pytest.raises(BackendUnavailable):
        registry.ensure_version("churn", "sha-1", "a: 1")
    registry.ensure_version("churn", "sha-1", "a: 1")
    assert [one["name"] for one in server.versions] == ["sha-0", "sha-1"]


def test_an_upload_that_somebody_made_meanwhile_is_taken(registry, server):
    registry.ensure_version("churn", "sha-1", "a: 1")
    look = registry.find_version
    registry.find_version = lambda *given: setattr(registry, "find_version", look)  # type: ignore[method-assign, func-returns-value]
    assert registry.ensure_version("churn", "sha-1", "a: 1")["name"] == "sha-1"


def test_pipelines_are_found_by_name_and_removed_with_their_versions(registry, server):
    assert registry.find_pipeline("churn / eu") is None
    registry.ensure_version("churn / eu", "sha-1", "a: 1")
    found = registry.find_pipeline("churn / eu")
    assert found["pipeline_id"] == "p-0"
    assert [one["name"] for one in registry.versions("p-0")] == ["sha-1"]
    registry.delete_pipeline("p-0")
    registry.delete_pipeline("p-0")
    assert registry.find_pipeline("churn / eu") is None


def test_versions_are_listed_over_all_pages(registry, server):
    server.versions = [{"name": f"v-{number}"} for number in range(45)]
    assert len(list(registry.versions("p-0"))) == 45


def test_a_refused_pipeline_is_said(registry, server):
    server.faults = [None, 403]
    with pytest.raises(Refused):
        registry.ensure_version("churn", "sha-1", "a: 1")


def test_a_recurring_run_is_made_switched_and_removed(client, server):
    runs = RecurringRuns(client)
    body = {
        "display_name": "nightly", "max_concurrency": "1", "mode": "ENABLE", "experiment_id": "e-1",
        "trigger": cron_trigger("0 2 * * *"), "pipeline_version_reference": {"pipeline_id": "p", "pipeline_version_id": "v"},
    }  # fmt: skip
    check_wire("v2beta1RecurringRun", body)
    made = runs.create(body)["recurring_run_id"]
    assert runs.find("nightly")["recurring_run_id"] == made
    assert runs.find("weekly") is None
    runs.disable(made)
    assert server.recurring[made]["status"] == "DISABLED"
    runs.enable(made)
    assert server.recurring[made]["status"] == "ENABLED"
    runs.delete(made)
    runs.delete(made)
    assert list(runs.list()) == []


@pytest.mark.parametrize(
    ("trigger", "wire"),
    [
        pytest.param(cron_trigger("*/5 * * * *"), {"cron_schedule": {"cron": "*/5 * * * *"}}, id="cron"),
        pytest.param(periodic_trigger(timedelta(hours=6)), {"periodic_schedule": {"interval_second": "21600"}},
                     id="a period is text, as 64-bit numbers are"),
        pytest.param(
            cron_trigger("0 0 * * *", start=datetime(2026, 11, 26, 1, tzinfo=timezone(timedelta(hours=1))),
                         end=datetime(2026, 12, 1, tzinfo=UTC)),
            {"cron_schedule": {"cron": "0 0 * * *", "start_time": "2026-11-26T00:00:00Z", "end_time": "2026-12-01T00:00:00Z"}},
            id="between two times, in UTC",
        ),
    ],
)  # fmt: skip
def test_trigger(trigger, wire):
    assert trigger == wire
    check_wire("v2beta1Trigger", trigger)
