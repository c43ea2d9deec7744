"""Airflow's side of large objects: what the local backend brings and takes, and what a plain task downloads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from airflow_provider_mlx.artifacts.store import SINGLE_REQUEST_BYTES, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError, BackendUnavailable, JobMisconfigured
from tests.stores.s3_on_disk import s3_on_disk

MIB = 1024 * 1024
KEYS = {"access_key_id": "a", "secret_access_key": "b", "token": None, "expires_at": None}


@pytest.fixture
def s3(tmp_path):
    with s3_on_disk(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def store(s3):
    return ObjectStore({"endpoint": s3.endpoint, "region": "x", "virtual_hosted_style_request": False}, lambda: KEYS)


@pytest.fixture
def large(tmp_path):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(SINGLE_REQUEST_BYTES + 3 * MIB))
    return file


def test_a_download_that_breaks_often_goes_on_where_it_was_with_the_same_object(store, s3, tmp_path):
    data = os.urandom(20 * MIB)
    s3.put("b/large", data)
    s3.cuts = [2 * MIB] * 8  # obstore's own retries end after two
    assert store.download("s3://b/large", tmp_path / "copy") == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "copy").read_bytes() == data
    asked = s3.asked("GET")
    assert len({headers.get("range") for headers in asked}) == len(asked) == 9, "no byte is asked for twice"
    assert any("if-match" in headers for headers in asked)


def test_an_object_that_is_replaced_while_it_is_downloaded_is_an_error(store, s3, tmp_path):
    s3.put("b/large", b"a" * 20 * MIB)
    s3.cuts = [3 * MIB]

    def replace(method, query):
        if len(s3.asked("GET")) == 2:
            s3.put("b/large", b"b" * 20 * MIB)

    s3.refuse = replace
    with pytest.raises(ArtifactError, match="it was replaced while it was read"):
        store.download("s3://b/large", tmp_path / "copy")
    assert b"b" not in (tmp_path / "copy").read_bytes()


def test_a_download_without_any_progress_is_no_answer(store, s3, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_provider_mlx.artifacts.store._STALL_SECONDS", 0)
    s3.put("b/large", b"a" * 20 * MIB)
    s3.cuts = [0] * 100
    with pytest.raises(BackendUnavailable, match="gave no answer for s3://b/large"):
        store.download("s3://b/large", tmp_path / "copy")


def test_a_large_object_that_is_there_stays(store, s3, large):
    s3.put("b/large", b"first")
    store.upload(large, "s3://b/large")
    assert s3.path("b/large").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("verb", "broken"), [("PUT", "partNumber=2"), ("POST", "uploadId=")], ids=["part", "completion"]
)
def test_an_upload_that_fails_leaves_no_parts(store, s3, large, verb, broken):
    s3.refuse = lambda method, query: 403 if method == verb and broken in query else None
    with pytest.raises(JobMisconfigured, match="refuses access"):
        store.upload(large, "s3://b/large")
    assert any(method == "POST" for method, _, _ in s3.requests), "an upload was begun"
    assert s3.unfinished_uploads == []
    assert not s3.path("b/large").exists()


THERE_AND_BACK = """
import resource, sys
from pathlib import Path
from airflow_provider_mlx.artifacts.store import ObjectStore
root, endpoint, folder = *sys.argv[1:3], Path(sys.argv[3])
keys = {"access_key_id": "a", "secret_access_key": "b", "token": None, "expires_at": None}
store = ObjectStore({"endpoint": endpoint, "region": "x", "virtual_hosted_style_request": False}, lambda: keys)
(folder / "small").write_bytes(b"x")
store.upload(folder / "small", f"{root}/small")
store.download(f"{root}/small", folder / "small-copy")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.upload(folder / "large", f"{root}/large")
store.download(f"{root}/large", folder / "copy")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_half_a_gigabyte_goes_there_and_back_in_bounded_memory(s3, tmp_path, kind):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(512 * MIB)
    root = "s3://b" if kind == "s3" else (tmp_path / "root").as_uri()
    done = subprocess.run(
        [sys.executable, "-c", THERE_AND_BACK, root, s3.endpoint, str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy").stat().st_size == 512 * MIB
    assert int(done.stdout) < 150, "MiB for an object of 512 MiB"
