"""Where Airflow shows the page."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.plugins import MlxPlugin, page


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch):
    """A bundle, whether this checkout's is built or not."""
    bundle = tmp_path / "page.js"
    bundle.write_text("")
    monkeypatch.setattr(page, "_BUNDLE", bundle)
    return bundle


def places():
    return [app["destination"] for app in MlxPlugin().react_apps]


def test_runs_have_a_tab_where_there_is_a_store(monkeypatch):
    assert places() == ["nav"]
    monkeypatch.setenv("AIRFLOW__MLX__LINEAGE_STORE", "sqlite:////tmp/lineage.db")
    assert places() == ["nav", "dag_run", "task_instance"]


@pytest.mark.parametrize("airflow", ["2.11.2", "3.0.6", "3.1.8"])
def test_an_airflow_that_gives_a_plugin_no_theme_has_no_page(monkeypatch, airflow):
    monkeypatch.setattr(page, "version", lambda _: airflow)
    assert places() == []


def test_a_checkout_whose_page_is_not_built_has_none_and_says_so(built, caplog):
    built.unlink()
    assert places() == []
    assert "make ui" in caplog.text


def test_the_bundle_is_below_whatever_path_airflow_is(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/team/airflow/")
    (app,) = MlxPlugin().react_apps
    assert app["bundle_url"] == "/team/airflow/mlx/lineage/ui/page.js"


def test_no_two_places_share_an_address(monkeypatch):
    monkeypatch.setenv("AIRFLOW__MLX__LINEAGE_STORE", "sqlite:////tmp/lineage.db")
    apps = MlxPlugin().react_apps
    assert len({app["url_route"] for app in apps}) == len(apps)
    assert {app["name"] for app in apps} == {page.NAME}
