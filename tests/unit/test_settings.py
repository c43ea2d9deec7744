"""The ``[mlx]`` section."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.settings import OPTIONS, read_settings


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    settings = read_settings()
    assert settings.stack is None
    assert settings.stacks_files == ()
    assert settings.allow_local == "auto"
    assert settings.local_root == tmp_path / "mlx"
    assert settings.inline_bytes == 48 * 1024


def test_the_environment_sets_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLX__STACK", "prod")
    monkeypatch.setenv("AIRFLOW__MLX__STACKS_FILES", "/etc/a.yaml, /etc/b.yaml")
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "prod-eu")
    settings = read_settings()
    assert (settings.stack, settings.deployment_id) == ("prod", "prod-eu")
    assert settings.stacks_files == (Path("/etc/a.yaml"), Path("/etc/b.yaml"))


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("BUNDLE_STACKS", "maybe", "[mlx] bundle_stacks is 'maybe'\n  → set it to allow or deny"),
        ("ALLOW_LOCAL", "yes", "[mlx] allow_local is 'yes'\n  → set it to auto or true or false"),
        ("INLINE_KILOBYTES", "many", "[mlx] inline_kilobytes is 'many'\n  → set it to a whole number from 1"),
    ],
)
def test_a_value_that_cannot_be(monkeypatch: pytest.MonkeyPatch, option: str, value: str, expected: str) -> None:
    monkeypatch.setenv(f"AIRFLOW__MLX__{option}", value)
    with pytest.raises(JobMisconfigured) as caught:
        read_settings()
    assert str(caught.value) == expected


def test_every_option_says_what_it_means() -> None:
    for name, option in OPTIONS.items():
        assert option["description"].endswith((".", "`.")), name
