"""Backends by name, imported when somebody asks for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_mlx.backends import registry
from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.backends.registry import InstalledSettings, backend_class, backend_names


@pytest.mark.parametrize("name", ["local", "kubernetes", "trainer"])
def test_a_backends_settings_are_those_of_its_class(name: str) -> None:
    assert InstalledSettings()[name] is backend_class(name).settings_model


def test_a_backend_that_no_stack_can_name_has_none() -> None:
    assert issubclass(backend_class("kubernetes_resource"), Backend)
    assert "kubernetes_resource" not in InstalledSettings()
    assert "nonsense" not in InstalledSettings()


def test_a_backend_that_cannot_be_imported_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {**backend_names(), "absent": "a_package_that_is_not_here.backend:Backend"}
    monkeypatch.setattr(registry, "backend_names", lambda: names)
    assert "absent" not in InstalledSettings()
    assert {"local", "kubernetes", "trainer"} <= set(InstalledSettings())
    assert len(InstalledSettings()) == len(names) - 1


def test_a_stack_pays_for_the_backends_that_it_names() -> None:
    code = (
        "import sys; from airflow_provider_mlx.backends.registry import InstalledSettings; InstalledSettings()['local'];"
        "print([name for name in sys.modules if name.startswith('airflow_provider_mlx.backends.kubernetes')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
