"""Objects larger than memory, over lines that break: bounded memory, resumed reads, uploads that leave nothing behind."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading

import pytest

from airflow_provider_mlx.runtime import store as store_module
from airflow_provider_mlx.runtime import transfer
from airflow_provider_mlx.runtime.clients import CLIENTS, SINGLE_REQUEST_BYTES, choose_row
from airflow_provider_mlx.runtime.refusals import AlreadyWritten, ArtifactError
from airflow_provider_mlx.runtime.store import Store
from airflow_provider_mlx.runtime.transfer import NoAnswer, ObjectChanged, Part, Patience, read_resuming
from tests.faults.gate import Gate
from tests.stores.s3_on_disk import s3_on_disk

MIB = 1024 * 1024
ROWS = CLIENTS["s3"][:2]
each_client = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.packages)


@pytest.fixture
def s3(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with s3_on_disk(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def only(monkeypatch):
    """Leave an image one client."""
    return lambda row: monkeypatch.setitem(CLIENTS, "s3", (row,))


def job_store(s3, tmp_path, **options):
    return Store({"options": {"s3": {**s3.client_options, **options}}}, scratch=tmp_path)


def sparse(path, mebibytes):
    with path.open("wb") as file:
        file.truncate(mebibytes * MIB)
    return path


# --- memory -----------------------------------------------------------------------------------------------------------

THERE_AND_BACK = """
import sys
from pathlib import Path
from airflow_provider_mlx.runtime import clients
from airflow_provider_mlx.runtime.memory import peak_memory_bytes
from airflow_provider_mlx.runtime.store import Store
root, endpoint, package, folder = *sys.argv[1:4], Path(sys.argv[4])
clients.CLIENTS["s3"] = tuple(row for row in clients.CLIENTS["s3"] if row.packages == package)
store = Store({"options": {"s3": {"endpoint_url": endpoint, "region": "us-east-1"}}}, scratch=folder)
(folder / "small").write_bytes(b"x")
store.upload(folder / "small", f"{root}/small")
store.read_bytes(f"{root}/small")
before = peak_memory_bytes()
store.upload(folder / "large", f"{root}/large")
store.download(f"{root}/large", folder / "copy")
print((peak_memory_bytes() - before) // 1024 // 1024)
"""


@pytest.mark.parametrize("package", ["obstore", "boto3", "a mount"])
def test_half_a_gigabyte_goes_there_and_back_in_bounded_memory(s3, tmp_path, package):
    sparse(tmp_path / "large", 512)
    root = tmp_path.as_uri() + "/mount" if package == "a mount" else "s3://b"
    done = subprocess.run(
        [sys.executable, "-c", THERE_AND_BACK, root, s3.endpoint, package, str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy").stat().st_size == 512 * MIB
    assert int(done.stdout) < 150, "MiB for an object of 512 MiB"


@pytest.mark.parametrize(
    ("size", "part", "at_once"),
    [
        pytest.param(1, 8 * MIB, 4, id="parts of 8 MiB, four at once"),
        pytest.param(80_000 * MIB, 8 * MIB, 4, id="ten thousand of them are 78 GiB"),
        pytest.param(160_000 * MIB, 16 * MIB, 2, id="larger objects have larger parts and fewer at once"),
        pytest.param(5 * 1024**4, 549755814, 1, id="five tebibytes go up in ten thousand parts"),
    ],
)
def test_parts(size, part, at_once):
    assert (transfer.part_bytes(size), transfer.parts_at_once(size)) == (part, at_once)
    assert -(-size // transfer.part_bytes(size)) <= transfer.MAX_PARTS


# --- reading ----------------------------------------------------------------------------------------------------------


@each_client
def test_a_read_that_breaks_goes_on_where_it_was_with_the_same_object(s3, tmp_path, row, only, monkeypatch):
    only(row)
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    data = os.urandom(20 * MIB)
    s3.put("b/large", data)
    s3.cuts = [3 * MIB, 0, 2 * MIB, 2 * MIB, 0, 0, 5 * MIB, 1]
    sink = io.BytesIO()
    job_store(s3, tmp_path).read_into("s3://b/large", sink)
    assert hashlib.sha256(sink.getvalue()).digest() == hashlib.sha256(data).digest()
    asked = s3.asked("GET")
    assert len(asked) == 9
    assert all(headers["range"] != "bytes=0-" for headers in asked[1:] if "range" in headers)


@each_client
def test_an_object_that_is_replaced_while_it_is_read_is_an_error_and_never_a_mix(s3, tmp_path, row, only):
    only(row)
    s3.put("b/large", b"a" * 20 * MIB)
    s3.cuts = [3 * MIB]

    class Replacing(io.BytesIO):
        def write(self, data):
            if not self.tell():
                s3.put("b/large", b"b" * 20 * MIB)
            return super().write(data)

    sink = Replacing()
    with pytest.raises(ArtifactError, match="it was replaced while it was read"):
        job_store(s3, tmp_path).read_into("s3://b/large", sink)
    assert b"b" not in sink.getvalue()


@each_client
def test_a_store_that_knows_no_ranges_is_an_error_and_never_a_mix(s3, tmp_path, row, only, monkeypatch):
    only(row)
    monkeypatch.setattr(store_module, "READ_PATIENCE_SECONDS", 2.0)
    s3.put("b/large", b"a" * 20 * MIB)
    s3.cuts, s3.knows_ranges = [3 * MIB] * 5, False
    sink = io.BytesIO()
    with pytest.raises(ArtifactError):
        job_store(s3, tmp_path).read_into("s3://b/large", sink)
    assert len(sink.getvalue()) <= 3 * MIB, "what a broken connection had not delivered is lost with it"


def test_a_store_without_versions_is_not_resumed():
    def broken():
        yield b"12"
        raise NoAnswer("gone")

    with pytest.raises(ObjectChanged, match="has no versions"):
        read_resuming(lambda start, version: Part(start, 4, "", broken()), io.BytesIO(), Patience(10))


def test_patience_grows_tired_only_without_progress(capsys):
    slept = []
    patience = Patience(100, "no answer for s3://b/x", sleep=slept.append)
    for _ in range(8):
        patience.wait(NoAnswer("refused"))
    assert [round(pause, 1) > 0 for pause in slept] == [True] * 8
    assert 15 <= slept[-1] <= 30
    patience.progressed()
    patience.wait(NoAnswer("refused"))
    assert slept[-1] <= 0.5
    assert "mlx: no answer for s3://b/x: refused; asking again for 100 s at most" in capsys.readouterr().out
    tired = Patience(0, sleep=slept.append)
    with pytest.raises(NoAnswer, match="refused"):
        tired.wait(NoAnswer("refused"))


# --- creating ---------------------------------------------------------------------------------------------------------

LARGE = SINGLE_REQUEST_BYTES // MIB + 9


def test_a_large_object_goes_up_by_the_client_that_can_create_it_without_overwriting():
    assert choose_row("s3").packages == "obstore"
    assert choose_row("s3", creating=SINGLE_REQUEST_BYTES).packages == "obstore"
    assert choose_row("s3", creating=SINGLE_REQUEST_BYTES + 1).packages == "boto3"


def test_a_large_object_that_appears_while_another_goes_up_stays(s3, tmp_path):
    def appear(method, query):
        if method == "POST" and "uploadId" in query:
            s3.put("b/large", b"first")

    s3.refuse = appear
    with pytest.raises(AlreadyWritten, match="overwrites nothing"):
        job_store(s3, tmp_path).upload(sparse(tmp_path / "large", LARGE), "s3://b/large")
    assert s3.path("b/large").read_bytes() == b"first"
    assert s3.unfinished_uploads == []


@each_client
def test_a_large_object_that_is_there_stays(s3, tmp_path, row, only):
    only(row)
    s3.put("b/large", b"first")
    with pytest.raises(AlreadyWritten):
        job_store(s3, tmp_path).upload(sparse(tmp_path / "large", LARGE), "s3://b/large")
    assert s3.path("b/large").read_bytes() == b"first"
    assert s3.unfinished_uploads == []


@each_client
@pytest.mark.parametrize(
    ("verb", "broken"), [("PUT", "partNumber=5"), ("POST", "uploadId=")], ids=["part", "completion"]
)
def test_an_upload_that_fails_leaves_no_parts(s3, tmp_path, row, only, verb, broken):
    only(row)
    s3.refuse = lambda method, query: 403 if broken in query and method == verb else None
    with pytest.raises(ArtifactError, match="no access"):
        job_store(s3, tmp_path).upload(sparse(tmp_path / "large", LARGE), "s3://b/large")
    assert any(method == "POST" for method, _, _ in s3.requests), "an upload was begun"
    assert s3.unfinished_uploads == []
    assert not s3.path("b/large").exists()


@each_client
def test_what_arrives_is_what_was_sent(s3, tmp_path, row, only):
    only(row)
    data = os.urandom(LARGE * MIB - 5)
    (tmp_path / "large").write_bytes(data)
    job_store(s3, tmp_path).upload(tmp_path / "large", "s3://b/large")
    assert s3.path("b/large").read_bytes() == data
    parts = [query for method, query, _ in s3.requests if method == "PUT"]
    assert len(parts) == -(-LARGE // 8)


# --- a store that is away ---------------------------------------------------------------------------------------------


def test_a_store_that_is_away_for_a_moment_costs_a_step_nothing(s3, job):
    gate = Gate(int(s3.endpoint.rpartition(":")[2]))
    told = {**s3.client_options, "endpoint_url": f"http://127.0.0.1:{gate.port}"}

    def change(context):
        context["outputs"]["uri"] = "s3://b/attempt"
        context["store"] = {"mounts": [], "options": {"s3": told}, "allowed": ["s3://b"]}

    job.env.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    source = "import pathlib\ndef run():\n    pathlib.Path('big').write_bytes(b'x' * 200_000_000)\n    return pathlib.Path('big')"
    begun = threading.Event()

    def shut_at_the_third_part(method, query):
        if "partNumber=3" in query and not begun.is_set():
            begun.set()
            gate.shut()
            threading.Timer(5, gate.open).start()

    s3.refuse = shut_at_the_third_part
    try:
        done = job.run(source, change=change)
    finally:
        gate.close()
    assert done.status == 0, done.output
    assert begun.is_set()
    assert "asking again" in done.output
    assert s3.path("b/attempt/outputs/return_value").stat().st_size == 200_000_000
    assert s3.path("b/attempt/result.json").exists()


def test_a_store_that_stays_away_fails_the_step_in_the_end(s3, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store_module, "READ_PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(store_module, "WRITE_PATIENCE_SECONDS", 3.0)
    store = job_store(s3, tmp_path, endpoint_url="http://127.0.0.1:9")
    for ask in (
        lambda: store.read_bytes("s3://b/x"), lambda: store.write_bytes("s3://b/x", b"1"),
        lambda: store.exists("s3://b/x"), lambda: store.below("s3://b/x"),
    ):  # fmt: skip
        with pytest.raises(ArtifactError, match="the store gave no answer for s3://b/x"):
            ask()
    assert "asking again for" in capsys.readouterr().out
