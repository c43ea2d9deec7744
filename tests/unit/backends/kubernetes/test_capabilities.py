"""The capability matrix says of Kubernetes what a plan does."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.scheduling import placement_problems
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.testing.capabilities import capability_row
from airflow_provider_mlx.testing.contract import ASKS

SETTINGS = {
    "scheduler: kai": {"scheduler": "kai", "queue": "team"},
    "spot: {…}": {"spot": {"node_selector": {"capacity": "spot"}}},
}


@pytest.mark.parametrize("asked", sorted(ASKS))
def test_what_a_plain_target_refuses_is_what_the_matrix_says_needs_a_setting(asked: str) -> None:
    resources, setting = ASKS[asked].resources, KubernetesBackend.with_setting.get(asked)
    assert bool(placement_problems(resources, KubernetesSettings())) == (setting is not None)
    if setting is not None:
        assert placement_problems(resources, KubernetesSettings.model_validate(SETTINGS[setting])) == []


def test_the_matrix_names_the_setting() -> None:
    row = capability_row(KubernetesBackend)
    assert (row["fractional gpu"], row["gpu"], row["spot"]) == ("✓ with `scheduler: kai`", "✓", "✓ with `spot: {…}`")
