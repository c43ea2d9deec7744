"""No Airflow process unpickles anything or loads a model: an audit hook watches this folder's tests; here it is proved."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.values import ArtifactReference
from tests.no_unpickling import watching

BODY = "@task.mlx(multiple_outputs=False)\ndef step(x):\n    return {'x': x}\nstep(1)"


@pytest.mark.usefixtures("may_unpickle")
@pytest.mark.parametrize(
    "how", ["import {0}", "from {0} import x", "__import__('{0}')", "importlib.import_module('{0}')"]
)
def test_the_watch_sees_an_import(how, monkeypatch, tmp_path):
    (tmp_path / "joblib").mkdir()
    (tmp_path / "joblib/__init__.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "joblib"]:
        monkeypatch.delitem(sys.modules, loaded)
    with watching() as seen:
        exec(how.format("joblib"), {"importlib": importlib})
    monkeypatch.delitem(sys.modules, "joblib")
    assert seen.events == ["import joblib"]


@pytest.mark.usefixtures("may_unpickle")
def test_the_watch_sees_a_pickle_and_nothing_when_it_is_off():
    data = pickle.dumps(Fraction(1, 3))
    with watching() as seen:
        pickle.loads(data)
    assert seen.events == ["unpickled fractions.Fraction"]
    assert "test_no_unpickling.py" in seen.stacks[0], "it says who did it"
    pickle.loads(data)
    assert len(seen.events) == 1
    with watching() as seen:
        json.loads("[1]")
    assert seen.events == []


def test_a_whole_step_unpickles_nothing_here(load, execute):
    with watching() as seen:
        assert execute(load(BODY)["step"]).result == {"x": 1}
    assert seen.events == []


@pytest.mark.parametrize("codec", ["sklearn", "pickle", "joblib", "torch"])
def test_a_model_or_a_pickle_from_xcom_is_not_loaded_here(codec, tmp_path):
    """The object is a pickle that would write a file; neither its codec's name nor its content gets it loaded."""
    marker = tmp_path / "ran"
    file = tmp_path / "root" / "value"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(Touches(marker)))
    reference = _reference(file, codec)
    with pytest.raises(ArtifactError, match=r"do not load models|no codec"):
        StoredArtifact(reference, ObjectStore(), Gate((file.parent.as_uri(),))).load()
    assert not marker.exists()


@pytest.mark.parametrize("codec", ["json", "verbatim", "npy", "parquet", "directory"])
def test_a_pickle_under_the_name_of_a_data_codec_is_an_error(codec, tmp_path):
    marker = tmp_path / "ran"
    file = tmp_path / "root" / "value"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(Touches(marker)))
    with pytest.raises(Exception, match=r"."):
        StoredArtifact(_reference(file, codec), ObjectStore(), Gate((file.parent.as_uri(),))).load()
    assert not marker.exists()


def test_an_array_of_objects_is_not_loaded(tmp_path):
    """NumPy's file of Python objects is a pickle behind a header; so is one inside its zip."""
    import numpy

    marker = tmp_path / "ran"
    (tmp_path / "root").mkdir()
    objects = numpy.array([Touches(marker)], dtype=object)
    for name, save in (("value.npy", numpy.save), ("value.npz", numpy.savez)):
        file = tmp_path / "root" / name
        with file.open("wb") as target:
            save(target, objects)
        gate = Gate((file.parent.as_uri(),))
        with pytest.raises(Exception, match="cannot be read"):
            StoredArtifact(_reference(file, "npy"), ObjectStore(), gate).load()
    assert not marker.exists()


class Touches:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


def _reference(file: Path, codec: str) -> ArtifactReference:
    import hashlib

    data = file.read_bytes()
    return ArtifactReference(
        uri=file.as_uri(), sha256=hashlib.sha256(data).hexdigest(), size=len(data), codec=codec, type="x.Y",
        name="return_value", version="1", producer={},
    )  # fmt: skip
