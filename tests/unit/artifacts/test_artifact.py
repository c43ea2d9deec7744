"""``Artifact`` in a plain task: read what was written, refuse what changed, never load a model."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact, read_reference
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.codecs import CODECS
from airflow_provider_mlx.runtime.values import ArtifactReference

STORE = ObjectStore()


def artifact(
    root, data=b'{"a": 1}', *, codec="json", kind="dict", name="outputs/value.json", sha256=None, allowed=None
):
    uri = f"{root}/{name}"
    STORE.create(uri, data)
    reference = ArtifactReference(
        uri=uri, sha256=sha256 or hashlib.sha256(data).hexdigest(), size=len(data), codec=codec, type=kind,
        name="return_value", version="1", producer={"dag_id": "churn"},
    )  # fmt: skip
    return StoredArtifact(reference, STORE, Gate((allowed or root,)))


@pytest.fixture
def root(tmp_path):
    return (tmp_path / "root").as_uri()


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where temporary folders go, to see what stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_value_is_loaded_and_nothing_stays(root, scratch):
    assert artifact(root).load() == {"a": 1}
    assert list(scratch.iterdir()) == []


def test_a_path_is_a_copy_of_the_callers_own(root, scratch, tmp_path):
    found = artifact(root, b"text", codec="text", kind="str").path()
    assert found.read_bytes() == b"text"
    assert found.is_relative_to(scratch)
    assert artifact(root, b"2", name="outputs/2").path(tmp_path / "mine" / "deep") == tmp_path / "mine" / "deep" / "2"


def test_an_artifact_that_was_changed_is_refused_with_both_digests(root, scratch, tmp_path):
    expected, found = "0" * 64, hashlib.sha256(b'{"a": 1}').hexdigest()
    for read in (lambda it: it.load(), lambda it: it.path(), lambda it: it.path(tmp_path / "mine")):
        with pytest.raises(ArtifactError, match="has changed since it was written") as refused:
            read(artifact(root, sha256=expected))
        assert expected in str(refused.value)
        assert found in str(refused.value)
    assert list(scratch.iterdir()) == []
    assert list((tmp_path / "mine").iterdir()) == [], "what was refused is not left behind"


def test_an_artifact_that_was_removed_is_refused(root, scratch):
    it = artifact(root)
    os.unlink(it.uri.removeprefix("file://"))
    with pytest.raises(ArtifactError, match="there is no object"):
        it.load()
    assert list(scratch.iterdir()) == []


def test_an_artifact_elsewhere_is_not_read(root):
    with pytest.raises(ArtifactError, match="lies neither under"):
        artifact(root, allowed="s3://bucket/root").load()


MODELS = sorted(name for name, codec in CODECS.items() if codec.kind == "model")


@pytest.mark.parametrize("codec", MODELS)
def test_a_model_is_never_loaded_in_an_airflow_process(root, codec):
    before = set(sys.modules)
    with pytest.raises(ArtifactError, match="Airflow processes do not load models"):
        artifact(root, codec=codec, kind="sklearn.linear_model.LogisticRegression").load()
    assert {"sklearn", "skops", "torch", "joblib"} & (set(sys.modules) - before) == set()


def test_there_are_models():
    assert MODELS


def test_an_unknown_codec_is_named(root):
    with pytest.raises(ArtifactError, match="no codec `avro` is installed"):
        artifact(root, codec="avro").load()


def test_a_missing_package_is_named(root, monkeypatch):
    from io import BytesIO

    import numpy as np

    buffer = BytesIO()
    np.save(buffer, np.arange(3))
    it = artifact(root, buffer.getvalue(), codec="npy", kind="numpy.ndarray", name="outputs/value.npy")
    assert it.load().tolist() == [0, 1, 2]
    for name in [name for name in sys.modules if name.partition(".")[0] == "numpy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ArtifactError, match="needs the package numpy, which this Airflow does not have"):
        it.load()


@pytest.mark.parametrize("value", [1, "text", None, [], {}, {"uri": "s3://b/x"}])
def test_what_is_no_reference_says_where_they_are(value):
    with pytest.raises(ArtifactError, match="is no artifact reference") as refused:
        read_reference(value)
    assert "mlx_artifacts" in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"sha256": "short"}, {"size": "1"}, {"more": 1}, {"mlx": "artifact/2"}, {"uri": None}]
)
def test_a_malformed_reference_is_refused(root, change):
    wire = artifact(root).reference.to_wire()
    assert read_reference(wire).to_wire() == wire
    with pytest.raises(ArtifactError, match="not an artifact reference"):
        read_reference({**wire, **change})
