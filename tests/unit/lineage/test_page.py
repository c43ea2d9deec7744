"""The page's files, as the API server hands them out."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider_mlx.lineage.server import page
from airflow_provider_mlx.lineage.server.mounting import URL_PREFIX, LineageApp


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "page").mkdir()
    (tmp_path / "secret.js").write_text("not the page's")
    (files,) = (route.app for route in page.page.routes)
    monkeypatch.setattr(files, "all_directories", [tmp_path / "page"])
    return tmp_path / "page"


@pytest.fixture
def client():
    app = FastAPI()
    app.mount(URL_PREFIX, LineageApp())
    return TestClient(app, base_url=f"http://airflow{URL_PREFIX}/")


@pytest.mark.parametrize(("name", "kind"), [("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")])
def test_a_file_says_what_it_is_and_may_do_nothing_else(client, folder, name, kind):
    (folder / name).write_text("1")
    answer = client.get(f"ui/{name}")
    assert (answer.status_code, answer.text) == (200, "1")
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_browser_asks_whether_a_file_has_changed(client, folder):
    (folder / "page.js").write_text("1")
    first = client.get("ui/page.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("ui/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["ui/nothing.js", "ui/../secret.js", "ui/%2e%2e/secret.js", "ui/..%2fsecret.js", "ui/"]
)
def test_there_is_nothing_but_the_pages_files(client, folder, path):
    assert client.get(path).status_code == 404


def test_a_checkout_whose_page_is_not_built_has_none(client, folder):
    folder.rmdir()
    assert client.get("ui/page.js").status_code == 404
