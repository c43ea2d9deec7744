"""Workflows as values."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.kubeflow_pipelines.workflows import node_id, step_nodes, template_prefix, with_status

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
WORKFLOW = {
    "metadata": {"name": "boom-tm5c4", "labels": {"pipeline/runid": "1", "pipeline/persistedFinalState": "true"}},
    "spec": {"templates": [{"name": "system-container-driver"}, {"name": "metadata-0-1-system-container-impl"}]},
}


def test_a_nodes_id_is_argos() -> None:
    """As a real Argo gave it."""
    assert node_id("boom-tm5c4", "root.boom.executor") == "boom-tm5c4-4247248200"
    assert node_id("boom-tm5c4", "") == "boom-tm5c4"


def test_a_workflow_that_is_over_says_so_in_its_labels() -> None:
    over = with_status(WORKFLOW, "Failed", step_nodes("Failed", "boom"), at=AT)
    assert over["metadata"]["labels"] == {
        "pipeline/runid": "1",
        "workflows.argoproj.io/phase": "Failed",
        "workflows.argoproj.io/completed": "true",
    }
    assert over["status"]["finishedAt"] == "2026-11-23T10:00:00Z"
    again = with_status(over, "Running", step_nodes("Running"), at=AT)
    assert "workflows.argoproj.io/completed" not in again["metadata"]["labels"]
    assert again["status"]["finishedAt"] is None


def test_pods_are_called_after_the_templates_that_there_are() -> None:
    prefix = template_prefix(WORKFLOW)
    assert prefix == "metadata-0-1-"
    assert step_nodes("Running", prefix=prefix)[-1].template == "metadata-0-1-system-container-impl"
