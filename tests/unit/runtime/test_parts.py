"""The parts that need no job: lines, addresses, extraction, the codec table, stores, ``current_step`` outside a job."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.runtime import codecs, wire
from airflow_provider_mlx.runtime.addresses import allowed_uri, mounted_path
from airflow_provider_mlx.runtime.clients import CLIENTS, choose_row
from airflow_provider_mlx.runtime.extraction import extract_source, name_problem
from airflow_provider_mlx.runtime.lines import MAX_LINE_BYTES, LineWriter, parse_line
from airflow_provider_mlx.runtime.memory import oom_kills, peak_memory_bytes
from airflow_provider_mlx.runtime.refusals import AlreadyWritten, ArtifactError, BundleRefused, JobMisconfigured
from airflow_provider_mlx.runtime.step import StepSkipped, current_step
from airflow_provider_mlx.runtime.store import Store
from airflow_provider_mlx.runtime.transfer import ObjectChanged

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "mlx"), inner),
)


@given(JSON)
def test_the_wire_is_lossless_for_plain_values(value):
    assert wire.decode(json.loads(json.dumps(wire.encode(value), allow_nan=False))) == value


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="\n\r")))
def test_a_line_that_is_written_is_read_behind_any_text(message, before):
    stream = io.StringIO()
    LineWriter("n1", stream).write("log", message=message)
    assert len(stream.getvalue()) <= MAX_LINE_BYTES
    parsed = parse_line(before + stream.getvalue(), "n1")
    assert parsed["message"] == message
    assert parse_line(stream.getvalue(), "n2") is None


@pytest.mark.parametrize(
    "line",
    ["", "::mlx::n1 {", "::mlx::n1 []", '::mlx::n1 {"seq":1,"type":"root"}', '::mlx::n1 {"seq":true,"type":"log"}',
     '::mlx::n1{"seq":1,"type":"log"}', "::mlx::n1 " + "[" * 100_000],
)  # fmt: skip
def test_damaged_lines_are_ordinary_text(line):
    assert parse_line(line, "n1") is None
    assert parse_line('::mlx:: {"seq":1,"type":"log"}', "") is None


def test_lines_of_several_threads_are_whole_and_counted():
    stream = io.StringIO()
    writer = LineWriter("n", stream)
    threads = [
        threading.Thread(target=lambda: [writer.write("log", message="x") for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [parse_line(line, "n")["seq"] for line in stream.getvalue().splitlines()] == list(range(1, 801))


@pytest.mark.parametrize(
    "uri", ["s3://b/root", "s3://b/root/a/b", "S3://b/root/a%20b", "s3://b/root/manual__2026-11-23T00:00:00+00:00/a"]
)
def test_addresses_below_the_root_may_be_read(uri):
    assert allowed_uri(uri, ["s3://other", "s3://b/root/"]).lower() == uri.lower()


@pytest.mark.parametrize(
    "uri",
    ["s3://b/rooted/a", "s3://b/root/../x", "s3://b/root/%2e%2e/x", "s3://b/root/%252e%252e/x", "s3://b/root/..%2fx",
     "s3://b/root/a\\..\\x", "s3://b/root/a\nb", "s3://c/root/a", "file:///root/a", "/root/a", "s3://b/root/./a",
     "gs://b/root/a", "file://host/root", "s3://b//root/a"],
)  # fmt: skip
def test_addresses_that_lead_elsewhere_may_not(uri):
    with pytest.raises(ArtifactError):
        allowed_uri(uri, ["s3://b/root"])


def test_a_link_must_not_lead_out_of_its_prefix(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "root/link").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactError, match="outside"):
        allowed_uri(f"{tmp_path.as_uri()}/root/link", [f"{tmp_path.as_uri()}/root"])


def test_the_longest_mount_wins():
    mounts = [{"uri": "s3://b", "path": "/short"}, {"uri": "s3://b/a/", "path": "/long"}]
    assert mounted_path("s3://b/a/x", mounts) == Path("/long/x")
    assert mounted_path("s3://b/ab", mounts) == Path("/short/ab")
    assert mounted_path("s3://bc/a", mounts) is None


@pytest.mark.parametrize("name", ["", "/a", "a/../b", "a\\b", "C:/a", "a//b", "./a", "a\0b"])
def test_names_that_are_not_extracted(name):
    assert name_problem(name)


@pytest.mark.parametrize("case", ["case", "link", "bomb", "duplicate folder"])
def test_a_hostile_bundle_is_refused(tmp_path, case):
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("source/a.py", "")
        if case == "case":
            bundle.writestr("source/A.py", "")
        elif case == "link":
            entry = zipfile.ZipInfo("source/l")
            entry.external_attr = 0o120777 << 16
            bundle.writestr(entry, "/etc/passwd")
        elif case == "bomb":
            bundle.writestr("source/zeros", b"\0" * 10_000_000)
        else:
            bundle.writestr("source/A.PY/", "")
    with pytest.raises(BundleRefused):
        extract_source(tmp_path / "b.zip", tmp_path)


@pytest.mark.parametrize(
    ("name", "codec", "packages"),
    [
        ("pandas.DataFrame", "parquet", ("pandas", "pyarrow")), ("polars.DataFrame", "parquet", ("polars",)),
        ("polars.dataframe.frame.DataFrame", "parquet", ("polars",)), ("numpy.ndarray", "npy", ("numpy",)),
        ("sklearn.ensemble.RandomForestClassifier", "sklearn", ("scikit-learn", "skops")), ("dict", "json", ()),
        ("pathlib.Path", "file", ()), ("None", "json", ()), ("str", "text", ()), ("torch.nn.Module", None, ()),
    ],
)  # fmt: skip
def test_the_codec_of_an_annotation(name, codec, packages):
    found = codecs.codec_for_type_name(name)
    assert (found.name if found else None) == codec
    assert codecs.packages_for(name) == packages


def test_the_table_imports_no_framework():
    code = "import sys\nfrom airflow_provider_mlx.runtime import codecs\nclass A: pass\ncodecs.codec_for(A())\n"
    code += "print([m for m in ('numpy', 'pandas', 'pyarrow', 'sklearn', 'polars', 'skops') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_files_are_created_once_and_all_at_once(tmp_path):
    store, uri = Store(), f"{tmp_path.as_uri()}/deep/a%20b"
    store.write_bytes(uri, b"x")
    store.write_bytes(uri, b"x")
    assert (tmp_path / "deep/a b").read_bytes() == b"x"
    with pytest.raises(AlreadyWritten):
        store.write_bytes(uri, b"y")
    with pytest.raises(ZeroDivisionError), store.writing(f"{tmp_path.as_uri()}/half") as sink:
        sink.write(b"x" * (1 // 0))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a b"]
    assert store.exists(uri)
    assert not store.exists(uri + "2")


@pytest.mark.parametrize("row", CLIENTS["s3"][:2], ids=lambda row: row.packages)
def test_a_client_of_s3_creates_reads_and_never_overwrites(s3, row, tmp_path):
    made, uri = row.make("s3", s3), f"s3://mlx/{row.packages}/a+b c"
    (tmp_path / "x").write_bytes(b"0" * 3_000_000)
    assert not made.exists(uri)
    made.create(tmp_path / "x", uri)
    assert made.exists(uri)
    assert b"".join(made.open(uri).chunks) == b"0" * 3_000_000
    rest = made.open(uri, 2_999_999, made.open(uri).version)
    assert (b"".join(rest.chunks), rest.size) == (b"0", 3_000_000)
    with pytest.raises(ObjectChanged):
        made.open(uri, 5, '"another"')
    assert [item.uri for item in made.listed(f"s3://mlx/{row.packages}")] == [uri]
    with pytest.raises(FileExistsError):
        made.create(tmp_path / "x", uri)
    with pytest.raises(FileNotFoundError):
        made.open(uri + "2")


def test_a_file_system_of_fsspec_is_a_store_too(tmp_path):
    store, uri = Store(scratch=tmp_path), f"memory://{tmp_path.name}/a b/c"
    assert not store.exists(uri)
    store.write_bytes(uri, b"0" * 3_000_000)
    assert store.read_bytes(uri) == b"0" * 3_000_000
    assert store.below(f"memory://{tmp_path.name}/a b") == [uri]
    client = CLIENTS["memory"][0].make("memory", {})
    assert b"".join(client.open(uri, 2_999_999, client.open(uri).version).chunks) == b"0"
    with pytest.raises(AlreadyWritten):
        store.write_bytes(uri, b"1")
    with pytest.raises(ArtifactError, match="there is no object"):
        store.read_bytes(uri + "2")


def test_a_job_on_s3_needs_no_mount(job, s3):
    def change(context):
        context["outputs"]["uri"] = "s3://mlx/attempt-1"
        context["store"] = {"mounts": [], "options": {"s3": s3}, "allowed": ["s3://mlx"]}

    job.env.update({"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"})
    done = job.run("def run():\n    return 'x' * 100_000", change=change)
    assert done.status == 0, done.output
    result = json.loads(Store({"options": {"s3": s3}}).read_bytes("s3://mlx/attempt-1/result.json"))
    assert result["outputs"]["return_value"]["artifact"]["uri"] == "s3://mlx/attempt-1/outputs/return_value.txt"


def test_a_job_may_be_told_by_a_context_on_s3(job, s3):
    import boto3

    def change(context):
        context["outputs"]["uri"] = "s3://mlx/told"
        context["store"] = {"mounts": [], "options": {"s3": s3}, "allowed": ["s3://mlx"]}

    command, attempt = job.prepare("def run():\n    return 'x' * 100_000", change=change)
    file, uri = attempt / "context.json", "s3://mlx/told/context.json"
    boto3.client("s3", endpoint_url=s3["endpoint_url"]).upload_file(str(file), "mlx", "told/context.json")
    job.env.update(
        AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_ENDPOINT_URL=s3["endpoint_url"],
        AWS_REGION="us-east-1",
    )  # fmt: skip
    done = job.finish([uri if part == file.as_uri() else part for part in command], attempt)
    assert done.status == 0, done.output
    assert Store({"options": {"s3": s3}}).exists("s3://mlx/told/outputs/return_value.txt")


def test_a_scheme_without_a_client_names_the_packages_that_would_do(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(JobMisconfigured) as refused:
        choose_row("gs", {})
    assert "obstore or google-cloud-storage or fsspec with gcsfs" in refused.value.remedy
    with pytest.raises(JobMisconfigured, match="ftp"):
        choose_row("ftp", {})


def test_outside_a_job_current_step_prints(capsys):
    current_step.log_metric("loss", 1)
    current_step.log_progress(1, 0)
    assert current_step.dataset("s3://a").uri == "s3://a"
    assert current_step.attempt == 1
    assert current_step.run_id == current_step.outputs_uri == ""
    with pytest.raises(StepSkipped):
        current_step.skip("no data")
    assert "loss" in capsys.readouterr().out


def test_memory_is_measured():
    assert peak_memory_bytes() > 10_000_000
    assert oom_kills() is None or oom_kills() >= 0
