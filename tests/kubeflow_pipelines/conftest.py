"""The server under test is the one that all other tests use."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from tests.kubeflow_pipelines.fixtures import kubeflow_client, kubeflow_server, running_kubeflow
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body

__all__ = ["kubeflow_client", "kubeflow_server", "running_kubeflow"]

collect_ignore = ["in_pods"]
"""It needs a node, and minutes: run only where it is named."""


@pytest.fixture
def run(kubeflow_client: KubeflowPipelinesClient) -> str:
    """The id of a run that was just made."""
    run_id = new_run_id()
    kubeflow_client.create_run(run_body(run_id))
    return run_id
