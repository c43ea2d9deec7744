"""One interface over every store: what is an answer, what is a refusal, and what is no answer."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError, BackendUnavailable, JobMisconfigured


def test_what_was_written_is_read(place):
    store, prefix = place
    assert store.create(f"{prefix}/a@b/one", b"1")
    store.write(f"{prefix}/a@b/two", b"22")
    assert store.read(f"{prefix}/a@b/one") == b"1"
    assert store.facts(f"{prefix}/a@b/two").size == 2
    assert {(item.uri, item.size) for item in store.list(prefix)} == {
        (f"{prefix}/a@b/one", 1),
        (f"{prefix}/a@b/two", 2),
    }
    assert all(store.read(item.uri) is not None for item in store.list(prefix)), "a listed name is a name"


def test_creating_never_overwrites(place):
    store, prefix = place
    assert store.create(f"{prefix}/one", b"first")
    assert not store.create(f"{prefix}/one", b"second")
    assert store.read(f"{prefix}/one") == b"first"


def test_writing_overwrites(place, tmp_path):
    store, prefix = place
    (tmp_path / "new").write_bytes(b"third")
    store.write(f"{prefix}/one", b"first")
    store.write(f"{prefix}/one", b"second")
    assert store.read(f"{prefix}/one") == b"second"
    store.replace(tmp_path / "new", f"{prefix}/one")
    assert store.read(f"{prefix}/one") == b"third"


def test_what_is_missing_is_none(place, tmp_path):
    store, prefix = place
    assert store.read(f"{prefix}/none") is None
    assert store.read(f"{prefix}/none", limit=5) is None
    assert store.facts(f"{prefix}/none") is None
    assert list(store.list(f"{prefix}/none")) == []
    with pytest.raises(ArtifactError, match="there is no object"):
        store.download(f"{prefix}/none", tmp_path / "target")


def test_a_download_says_the_digest(place, tmp_path):
    store, prefix = place
    data = os.urandom(20 * 1024 * 1024)
    (tmp_path / "source").write_bytes(data)
    store.upload(tmp_path / "source", f"{prefix}/large")
    assert store.download(f"{prefix}/large", tmp_path / "target") == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "target").read_bytes() == data


def test_an_upload_of_what_is_there_is_none(place, tmp_path):
    store, prefix = place
    store.create(f"{prefix}/one", b"first")
    (tmp_path / "source").write_bytes(b"second")
    store.upload(tmp_path / "source", f"{prefix}/one")
    assert store.read(f"{prefix}/one") == b"first"


def test_a_limit_is_kept_before_anything_is_read(place):
    store, prefix = place
    store.create(f"{prefix}/one", b"12345")
    assert store.read(f"{prefix}/one", limit=5) == b"12345"
    with pytest.raises(ArtifactError, match="has 5 bytes, over the limit of 4"):
        store.read(f"{prefix}/one", limit=4)


@pytest.mark.parametrize("uri", ["ftp://x/y", "/etc/passwd", "s3:///key", "file://host/x", "s3://b/../x", ""])
def test_what_is_no_uri_of_a_store_is_refused(uri):
    with pytest.raises(ArtifactError):
        ObjectStore().read(uri)


def test_files_are_where_other_programs_find_them(tmp_path):
    ObjectStore().create((tmp_path / "a b%20ü#1").as_uri() + "/x", b"1")
    assert (tmp_path / "a b%20ü#1" / "x").read_bytes() == b"1"


# --- S3 ---------------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_is_an_answer(s3_store, tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    for write in (
        lambda: s3_store.create("s3://no-such-bucket/x", b"1"),
        lambda: s3_store.write("s3://no-such-bucket/x", b"1"),
        lambda: s3_store.upload(tmp_path / "x", "s3://no-such-bucket/x"),
    ):
        with pytest.raises(JobMisconfigured, match="there is no bucket"):
            write()


def test_the_connection_gives_region_and_endpoint(s3_store, s3_endpoint):
    assert s3_store._options["endpoint"] == s3_endpoint
    assert s3_store._options["region"] == "eu-central-1"


def test_an_endpoint_that_gives_no_answer_is_unknown(monkeypatch):
    connection = {"conn_type": "aws", "login": "canary-id", "password": "canary-key",
                  "extra": {"region_name": "eu-central-1", "endpoint_url": "http://127.0.0.1:9"}}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_GONE", json.dumps(connection))
    store = open_store("s3://artifacts", "gone")
    for ask in (
        lambda: store.read("s3://artifacts/x"),
        lambda: store.facts("s3://artifacts/x"),
        lambda: store.create("s3://artifacts/x", b"1"),
        lambda: list(store.list("s3://artifacts/x")),
    ):
        with pytest.raises(BackendUnavailable, match="gave no answer for s3://artifacts/x") as unknown:
            ask()
        assert "canary" not in str(unknown.value)


def refusing_server(status: int):
    """A server that answers every request so."""
    import http.server
    import threading

    class Refuses(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = do_HEAD = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        pytest.param(403, JobMisconfigured, "refuses access", id="forbidden is an answer"),
        pytest.param(401, JobMisconfigured, "refuses access", id="unauthenticated is an answer"),
        pytest.param(503, BackendUnavailable, "gave no answer", id="unavailable is unknown"),
        pytest.param(429, BackendUnavailable, "gave no answer", id="a throttle is unknown"),
        pytest.param(500, BackendUnavailable, "gave no answer", id="an internal error is unknown"),
    ],
)
def test_refusals_and_outages(status, error, message):
    server = refusing_server(status)
    options = {
        "endpoint": f"http://127.0.0.1:{server.server_port}",
        "region": "x",
        "virtual_hosted_style_request": False,
    }
    keys = {"access_key_id": "a", "secret_access_key": "b", "token": None, "expires_at": None}
    store = ObjectStore(options, lambda: keys)
    try:
        for ask in (lambda: store.read("s3://artifacts/x"), lambda: store.create("s3://artifacts/x", b"1")):
            with pytest.raises(error, match=message):
                ask()
    finally:
        server.shutdown()
        server.server_close()


def test_a_connection_without_credentials_says_so(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", json.dumps({"conn_type": "aws", "extra": {"region_name": "eu-central-1"}}))
    with pytest.raises(JobMisconfigured, match="holds no AWS credentials"):
        open_store("s3://artifacts", "empty")


@pytest.mark.parametrize(("root", "provider"), [("gs://b", "google"), ("az://b", "microsoft-azure")])
def test_a_missing_provider_is_named(root, provider):
    with pytest.raises(JobMisconfigured, match=f"needs the {provider} provider"):
        open_store(root, "some_connection")


def test_no_connection_means_the_environments_own_credentials():
    assert open_store("s3://b", None)._credentials is None
    assert open_store("file:///tmp", "ignored")._credentials is None


def test_an_object_that_is_removed_is_gone(place):
    store, prefix = place
    uri = f"{prefix}/gone"
    store.create(uri, b"here")
    store.delete(uri)
    assert store.facts(uri) is None
    store.delete(uri)  # a store may not say that there was none, and none refuses


def test_facts_and_listings_tell_when_an_object_was_written(place):
    store, prefix = place
    before = datetime.now(UTC) - timedelta(seconds=5)  # stores round to seconds, and have clocks of their own
    store.create(f"{prefix}/one", b"here")
    facts = store.facts(f"{prefix}/one")
    (listed,) = store.list(prefix)
    for found in (facts, listed):
        assert before <= found.modified <= datetime.now(UTC) + timedelta(seconds=5)


def test_an_object_that_is_renewed_is_written_again_only_when_it_is_old(tmp_path):
    store, uri = ObjectStore(), (tmp_path / "bundle").as_uri()
    now = datetime.now(UTC)
    store.renew(uri, b"code", older_than=timedelta(days=1), now=now)
    store.renew(uri, b"never written", older_than=timedelta(days=1), now=now)
    assert store.read(uri) == b"code"
    old = (now - timedelta(days=3)).timestamp()
    os.utime(tmp_path / "bundle", (old, old))
    store.renew(uri, b"code", older_than=timedelta(days=1), now=now)
    assert store.facts(uri).modified >= now - timedelta(minutes=1)
