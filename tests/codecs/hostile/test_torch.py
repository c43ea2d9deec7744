"""Folders and files that would run code, if they were loaded by what they say."""

from __future__ import annotations

import json
import pickle
import socket
import sys

import pytest

from airflow_provider_mlx.runtime.codec import HashingWriter
from airflow_provider_mlx.runtime.codec_files import save_directory
from airflow_provider_mlx.runtime.codecs import CODECS
from airflow_provider_mlx.runtime.refusals import ArtifactError
from tests.codecs.groups import values_of

MARKER = "ran"
CODE = f"open({MARKER!r}, 'w').close()\n"


class Touches:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (exec, (CODE,))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A good model's folder, in whose parent nothing may appear."""
    monkeypatch.chdir(tmp_path)
    values_of("transformers").model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load(folder):
    archive = folder.with_name("model.tar")
    with archive.open("wb") as sink:
        save_directory(folder, HashingWriter(sink))
    try:
        return CODECS["transformers"].load(archive, "transformers.BertForSequenceClassification")
    finally:
        assert not folder.with_name(MARKER).exists(), "code from the file has run"


def say(folder, **words):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **words}))


def test_a_good_folder_is_loaded(folder):
    """The control."""
    assert type(load(folder)).__name__ == "BertForSequenceClassification"


def test_a_model_with_code_of_its_own_is_refused(folder):
    (folder / "mine.py").write_text(CODE)
    say(folder, auto_map={"AutoModel": "mine.Model"}, architectures=["Model"])
    with pytest.raises(ArtifactError, match="auto_map"):
        load(folder)


def test_code_beside_the_weights_is_refused(folder):
    (folder / "mine.py").write_text(CODE)
    with pytest.raises(ArtifactError, match=r"mine\.py"):
        load(folder)


def test_a_pickle_instead_of_the_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ArtifactError, match=r"pytorch_model\.bin"):
        load(folder)


def test_a_pickle_under_the_name_of_the_weights_is_refused(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param('"auto\\u005fmap": {"AutoConfig": "evil/repository--mine.Configuration"}', id="a key in escapes"),
        pytest.param('"attn_implementation": "evil/kernels"', id="a kernel of somebody's repository"),
        pytest.param('"text_config": {"_attn_implementation_internal": "evil/kernels"}', id="one deep inside"),
        pytest.param('"quantization_config": {"quant_method": "evil"}', id="a method that imports a package"),
    ],
)
def test_a_configuration_that_names_code_elsewhere_is_refused(folder, words):
    file = folder / "config.json"
    file.write_text(file.read_text().replace("{", "{" + words + ",", 1))
    json.loads(file.read_text())
    with pytest.raises(ArtifactError, match="has the word"):
        load(folder)


@pytest.mark.parametrize("name", ["Pipeline", "os", "AutoModel", "Nothing", "BertConfig"])
def test_a_class_that_is_no_model_of_transformers_is_refused(folder, name):
    say(folder, architectures=[name])
    with pytest.raises(ArtifactError, match=name):
        load(folder)


def test_weights_that_are_missing_are_asked_of_nobody(folder):
    asked = []

    def hook(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo"):
            asked.append(arguments)

    sys.addaudithook(hook)
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", 1), 0.1)
    assert asked, "the control: the hook sees a connection"
    asked.clear()
    (folder / "model.safetensors").unlink()
    say(folder, _name_or_path="google-bert/bert-base-uncased")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load(folder)
    assert asked == []


def test_a_link_out_of_the_folder_is_refused(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="is a link"):
        load(folder)


def test_a_pickle_is_no_tensors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ArtifactError, match="cannot be read"):
        CODECS["safetensors"].load(file, "dict")
    assert not (tmp_path / MARKER).exists()
