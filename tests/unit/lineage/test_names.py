"""One name for one thing, whatever its spelling, and never a credential in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openlineage.client.naming import dataset as naming

from airflow_provider_mlx.lineage.names import canonical, job_name, output_name, run_id, step_name
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.unit.lineage.conftest import artifact

CASES = [
    # spelling, namespace, name
    ("s3://bucket/key/a.csv", "s3://bucket", "key/a.csv"),
    ("S3://bucket/key", "s3://bucket", "key"),
    ("s3a://bucket/key/", "s3://bucket", "key"),
    ("s3n://bucket/key", "s3://bucket", "key"),
    ("s3://bucket/a//b", "s3://bucket", "a//b"),  # two keys in an object store
    ("s3://bucket", "s3://bucket", "/"),
    ("s3://bucket/", "s3://bucket", "/"),
    ("s3://AKIA:secret@bucket/key", "s3://bucket", "key"),
    ("s3://bucket/key?versionId=1#part", "s3://bucket", "key"),
    ("  s3://bucket/key\n", "s3://bucket", "key"),
    ("gcs://bucket/key", "gs://bucket", "key"),
    ("gs://bucket/key", "gs://bucket", "key"),
    ("abfs://c@acc.dfs.core.windows.net/p/", "abfss://c@acc.dfs.core.windows.net", "p"),
    ("abfss://c@ACC.dfs.core.windows.net/p", "abfss://c@acc.dfs.core.windows.net", "p"),
    ("wasbs://c@acc.blob.core.windows.net/p", "abfss://c@acc.dfs.core.windows.net", "p"),
    ("abfss://c:key@acc.dfs.core.windows.net/p", "abfss://c@acc.dfs.core.windows.net", "p"),
    ("az://c/p", "abfss://c", "p"),
    ("adl://c/p", "abfss://c", "p"),
    ("https://my-bucket.s3.eu-west-1.amazonaws.com/k/a?X-Amz-Signature=x", "s3://my-bucket", "k/a"),
    ("https://s3.eu-west-1.amazonaws.com/my-bucket/k/a?X-Amz-Signature=x", "s3://my-bucket", "k/a"),
    ("https://storage.googleapis.com/b/k?X-Goog-Signature=x", "gs://b", "k"),
    ("https://acc.blob.core.windows.net/c/p?sig=x", "abfss://c@acc.dfs.core.windows.net", "p"),
    ("https://u:p@Example.com/a/b?token=x", "https://example.com", "a/b"),
    ("file:///data/a.csv", "file", "/data/a.csv"),
    ("file://localhost/data//a.csv", "file", "/data/a.csv"),
    ("file:/data/a.csv", "file", "/data/a.csv"),
    ("/data/a.csv", "file", "/data/a.csv"),
    ("file:///", "file", "/"),
    ("file://host/data/", "file://host", "/data"),
    ("hdfs://nn:8020/a/b", "hdfs://nn:8020", "a/b"),
    ("postgresql://user:pw@db/shop/public/orders?sslmode=on", "postgres://db:5432", "shop.public.orders"),
    ("postgres://db:5433/shop/public/orders", "postgres://db:5433", "shop.public.orders"),
    ("bigquery://project/set/table", "bigquery", "project.set.table"),
    ("memory://ledger/a", "memory://ledger", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("uri", "namespace", "name"), CASES)
def test_what_a_uri_names(uri, namespace, name):
    found = canonical(uri)
    assert (found.namespace, found.name) == (namespace, name)
    again = canonical(found.uri)
    assert again == found


@pytest.mark.parametrize("uri", ["", "a.csv", "s3://", "s3:///key", "mailto:x@y", "https://", "://x"])
def test_what_names_nothing_is_an_error_that_does_not_repeat_it(uri):
    with pytest.raises(ValueError, match=r"neither|names no") as caught:
        canonical(uri)
    assert not uri or uri not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "official"),
    [
        ("s3://b/k", naming.S3("b", "k")),
        ("gs://b/k", naming.GCS("b", "k")),
        ("abfss://c@s.dfs.core.windows.net/p", naming.ABFSS("c", "s", "p")),
        ("file:///p/q", naming.LocalFileSystem("/p/q")),
        ("file://h/p/q", naming.RemoteFileSystem("h", "/p/q")),
        ("postgres://h:5432/d/s/t", naming.Postgres("h", "5432", "d", "s", "t")),
        ("bigquery://p/d/t", naming.BigQuery("p", "d", "t")),
        ("trino://h:8080/c/s/t", naming.Trino("h", "8080", "c", "s", "t")),
    ],
)
def test_names_are_those_of_the_naming_specification(uri, official):
    found = canonical(uri)
    assert (found.namespace, found.name) == (official.get_namespace(), official.get_name())


SCHEMES = st.sampled_from(
    ["s3", "S3A", "gs", "gcs", "az", "abfss", "wasbs", "https", "file", "hdfs", "postgresql", "x-y"]
)
PARTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@settings(max_examples=300)
@given(scheme=SCHEMES, host=PARTS, path=PARTS)
def test_a_canonical_uri_names_the_same_dataset_again(scheme, host, path):
    try:
        found = canonical(f"{scheme}://{host}/{path}")
    except ValueError:
        return
    assert canonical(found.uri) == found
    assert found.name
    assert "?" not in found.uri and "#" not in found.uri


@settings(max_examples=200)
@given(
    scheme=SCHEMES, host=st.from_regex(r"[a-z][a-z0-9.-]{2,10}", fullmatch=True), path=st.from_regex(r"[a-z/]{0,10}"),
    mark=st.sampled_from(["?", "#"]), user=st.sampled_from(["user:CANARY@", "a@b:CANARY@", ":CANARY@", ""]),
)  # fmt: skip
def test_no_credential_survives(scheme, host, path, mark, user):
    uri = f"{scheme}://{user}{host}.dfs.core.windows.net/{path}{mark}sig=CANARY"
    assert "CANARY" not in str(canonical(uri))


def test_an_output_is_one_dataset_in_every_run():
    name, place = output_name(artifact())
    assert (name.namespace, name.name) == ("s3://ml", "mlx/outputs/prod/churn/train/return_value")
    assert place.name == "mlx/runs/prod/churn/run-7/train/-1/attempt-1/outputs/return_value.skops"
    other = artifact(uri=artifact().uri.replace("run-7", "run-8").replace("attempt-1", "attempt-3"))
    assert output_name(other)[0] == name
    assert canonical(name.uri) == name


def test_an_output_on_a_disk():
    uri = "file:///var/mlx/runs/default/churn/run/train/-1/attempt-1/outputs/return_value.json"
    name, place = output_name(artifact(uri=uri))
    assert (name.namespace, name.name) == ("file", "/var/mlx/outputs/default/churn/train/return_value")
    assert canonical(name.uri) == name
    assert place.uri == uri


def test_an_artifact_elsewhere_is_its_own_dataset():
    name, place = output_name(artifact(uri="s3://ml/elsewhere/model.skops"))
    assert name == place


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        ({"kind": "function", "function": "fit"}, "fit"),
        ({"kind": "script", "path": "jobs/train.py"}, "train"),
        (None, "command"),
        ({}, "command"),
    ],
)
def test_the_name_of_what_runs(payload, name):
    assert step_name(payload) == name
    assert job_name("dag", "group.task", name) == f"dag.group.task.{name}"


def test_a_run_id_is_of_the_attempt():
    identity, at = TaskInstanceIdentity("prod", "d", "r", "t"), datetime(2026, 1, 1, tzinfo=UTC)
    first = run_id("ns", identity, 1, at)
    assert first == run_id("ns", identity, 1, at)
    others = {
        run_id("ns", identity, 2, at), run_id("other", identity, 1, at),
        run_id("ns", TaskInstanceIdentity("prod", "d", "r", "t", 0), 1, at),
    }  # fmt: skip
    assert len({first, *others}) == 4
