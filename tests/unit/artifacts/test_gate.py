"""The gate: whatever the spelling, only what lies under a prefix is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.artifacts.store import Gate
from airflow_provider_mlx.exceptions import ArtifactError

GATE = Gate(("s3://bucket/root", "file:///srv/artifacts", "s3://lake/"))


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("s3://bucket/root/runs/x", "s3://bucket/root/runs/x"),
        ("S3://bucket/root/x", "s3://bucket/root/x"),
        ("s3://bucket//root///x/", "s3://bucket/root/x"),
        ("s3://bucket/root", "s3://bucket/root"),
        ("file:///srv/artifacts/a%20b", "file:///srv/artifacts/a%20b"),
        ("file://localhost/srv/artifacts/x", "file:///srv/artifacts/x"),
        ("s3://lake/any/thing", "s3://lake/any/thing"),
        ("s3://bucket/root/..x/y", "s3://bucket/root/..x/y"),
    ],
)
def test_what_may_be_read(uri, normal):
    assert GATE.check(uri) == normal


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://bucket/root-of-others/x", id="a prefix counts by whole segments"),
        pytest.param("s3://bucket/", id="above the root"),
        pytest.param("s3://bucket2/root/x", id="another bucket"),
        pytest.param("s3://bucket/root/../secret", id="dots"),
        pytest.param("s3://bucket/root/./../secret", id="dots behind a dot"),
        pytest.param("s3://bucket/root/%2e%2e/secret", id="encoded dots"),
        pytest.param("s3://bucket/root/%252e%252e/secret", id="dots encoded twice"),
        pytest.param("s3://bucket/root/..%2fsecret", id="an encoded slash"),
        pytest.param("s3://bucket/root\\..\\secret", id="backslashes"),
        pytest.param("s3://bucket/root/%5c..%5csecret", id="encoded backslashes"),
        pytest.param("s3://bucket/root/x\ny", id="a line feed"),
        pytest.param("s3://bucket/root/x%00y", id="an encoded NUL"),
        pytest.param("s3://user:key@bucket/root/x", id="credentials"),
        pytest.param("s3://bucket@evil/root/x", id="an at sign before the host"),
        pytest.param("file:///etc/passwd", id="a file of the host"),
        pytest.param("file:///srv/artifacts/../../etc/passwd", id="out of the folder"),
        pytest.param("file://evil/srv/artifacts/x", id="a file of another host"),
        pytest.param("http://169.254.169.254/latest/meta-data/", id="the metadata address"),
        pytest.param("https://bucket.s3.amazonaws.com/root/x", id="another scheme"),
        pytest.param("gs://bucket/root/x", id="another store"),
        pytest.param("/srv/artifacts/x", id="no scheme"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_may_not_be_read(uri):
    with pytest.raises(ArtifactError) as refused:
        GATE.check(uri)
    assert "key" not in str(refused.value) or "user" not in str(refused.value), "a secret is not repeated"


def test_the_refusal_says_what_is_allowed():
    with pytest.raises(ArtifactError, match="allowed are s3://bucket/root, file:///srv/artifacts, s3://lake/"):
        GATE.check("s3://other/x")


@given(st.text(max_size=40))
def test_whatever_follows_a_prefix_stays_below_it(tail):
    try:
        normal = GATE.check("s3://bucket/root" + tail)
    except ArtifactError:
        return
    assert normal == "s3://bucket/root" or normal.startswith("s3://bucket/root/")
    assert ".." not in normal.split("/")


def test_a_stack_without_prefixes_allows_nothing():
    with pytest.raises(ArtifactError):
        Gate(()).check("s3://bucket/x")
