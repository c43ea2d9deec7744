"""Files that would run code or read others, if they were loaded by what they say."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy
import pytest

from airflow_provider_mlx.runtime.codec import HashingWriter
from airflow_provider_mlx.runtime.codecs import CODECS
from airflow_provider_mlx.runtime.refusals import ArtifactError
from tests.codecs.groups import TORCH, values_of

MARKER = "ran"


class Touches:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (open, (MARKER, "w"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / MARKER).exists(), "code from the file has run"


@pytest.mark.parametrize("codec", [name for name in CODECS if CODECS[name].packages and name not in TORCH])
def test_a_pickle_under_the_name_of_a_codec_is_an_error(codec, folder):
    for protocol in (0, 4):
        (folder / "value").write_bytes(pickle.dumps(Touches(), protocol=protocol))
        with pytest.raises(ArtifactError, match=r"\w{3}"):
            CODECS[codec].load(folder / "value", (*CODECS[codec].types, "")[0])


@pytest.mark.parametrize("codec", ["npz", "sparse"])
def test_arrays_of_objects_are_not_loaded(codec, folder):
    numpy.savez(folder / "value.npz", format=numpy.array([Touches()], dtype=object))
    with pytest.raises(ArtifactError, match="cannot be read"):
        CODECS[codec].load(folder / "value.npz", "")


def test_a_zip_that_is_larger_inside_is_not_unpacked(folder):
    array = io.BytesIO()
    numpy.save(array, numpy.zeros(10_000_000, dtype="u1"))
    with zipfile.ZipFile(folder / "value.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", array.getvalue())
    assert (folder / "value.npz").stat().st_size < 20_000
    with pytest.raises(ArtifactError, match="does not write"):
        CODECS["npz"].load(folder / "value.npz", "")


def test_indices_that_lie_outside_a_sparse_array_are_refused(folder):
    """SciPy's compiled code does not look: it would read foreign memory."""
    value = values_of("sparse").make()
    value.indices[0] = 1_000_000
    with (folder / "value.npz").open("wb") as sink:
        CODECS["sparse"].save(value, HashingWriter(sink))
    with pytest.raises(ArtifactError, match="cannot be read"):
        CODECS["sparse"].load(folder / "value.npz", "")


def test_an_onnx_model_that_names_other_files_is_refused(folder):
    for model in values_of("onnx").refused().values():
        (folder / "value.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ArtifactError, match="files of their own"):
            CODECS["onnx"].load(folder / "value.onnx", "onnx.ModelProto")


@pytest.mark.parametrize(
    "wanted", ["xgboost.Booster", "xgboost.build_info", "os.system", "xgboost.dask.DaskXGBClassifier"]
)
def test_only_the_wrappers_of_the_table_are_made(wanted, folder):
    """The type that a reference names is somebody's text."""
    with (folder / "value.ubj").open("wb") as sink:
        CODECS["xgboost"].save(values_of("xgboost").make(), HashingWriter(sink))
    assert type(CODECS["xgboost"].load(folder / "value.ubj", wanted)).__name__ == "Booster"


def test_a_lightgbm_text_that_is_not_whole_does_not_end_the_process(folder):
    with (folder / "whole").open("wb") as sink:
        CODECS["lightgbm"].save(values_of("lightgbm").make(), HashingWriter(sink))
    whole = (folder / "whole").read_bytes()
    shortened = [whole[:length] for length in range(1, len(whole) - len(b"pandas_categorical:null\n"), 97)]
    trees = range(whole.index(b"Tree=0"), whole.index(b"end of trees"), 40)
    shortened += [whole[:start] + whole[start + 40 :] for start in trees]
    for content in shortened:
        (folder / "value.txt").write_bytes(content)
        with pytest.raises(ArtifactError, match="cannot be read"):
            CODECS["lightgbm"].load(folder / "value.txt", "lightgbm.Booster")
