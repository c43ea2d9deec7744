"""The bundle's bytes depend on the files alone, and nothing unsafe gets in."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.bundle import SLICE_MODULE, build_bundle, runtime_files, step_bundle
from airflow_provider_mlx.step.slicing import slice_function

names = st.text("abcdefgh", min_size=1, max_size=6).map(lambda name: f"{name}.txt")
file_sets = st.dictionaries(names, st.binary(max_size=64), max_size=8)


@given(files=file_sets, data=st.data())
def test_equal_files_give_equal_bytes_in_any_order(files: dict[str, bytes], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(files.items()))))
    assert build_bundle(files) == build_bundle(shuffled)


@given(first=file_sets, second=file_sets)
def test_the_digest_differs_when_the_files_do(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    assert (build_bundle(first).sha256 == build_bundle(second).sha256) == (first == second)


@given(files=file_sets)
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    bundle = build_bundle(files)
    with zipfile.ZipFile(io.BytesIO(bundle.data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert all(m.compress_type == zipfile.ZIP_STORED and m.date_time[0] == 1980 for m in archive.infolist())
    assert bundle.files == tuple(sorted(files))
    assert bundle.size == len(bundle.data)


def test_the_digest_is_the_same_on_every_machine() -> None:
    """Anchored: a change here changes the name of every bundle that users have."""
    bundle = build_bundle({"b/a.py": b"x = 1\n", "a.txt": "é".encode()})
    assert bundle.sha256 == "b471c6f06b26b6d0f7e29d72609e7b51d7022b360d452ba78a99bfa1cea495e0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("../x", "`..`"),
        ("a/../x", "`..`"),
        ("a/./x", "`.`"),
        ("a//x", "empty"),
        ("a/", "empty"),
        ("", "is empty"),
        ("a\\b", "backslash"),
        ("a\0b", "NUL"),
        ("a/" + "é" * 128, "255 bytes"),
        ("\ud800", "Unicode"),
    ],
)
def test_names_that_cannot_be_extracted_safely_are_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidStep) as caught:
        build_bundle({name: b""})
    assert reason in str(caught.value)


def test_names_that_meet_on_other_file_systems_are_refused() -> None:
    with pytest.raises(InvalidStep, match=r"'A/b\.py' and 'a/B\.py'"):
        build_bundle({"A/b.py": b"", "a/B.py": b""})
    with pytest.raises(InvalidStep, match="a file and a folder"):
        build_bundle({"a": b"", "A/b": b""})


def test_too_many_bytes_are_refused_naming_the_ten_largest() -> None:
    files = {f"f{i:02}.bin": b"x" * (1000 + i) for i in range(15)}
    with pytest.raises(InvalidStep) as caught:
        build_bundle({**files, "big.bin": b"x" * 300_000, "/bad": b""}, max_bytes=10_000)
    message = str(caught.value)
    assert "big.bin (0.3 MB), f14.bin (1014 bytes)" in message
    assert "f06.bin" in message
    assert "f05.bin" not in message
    assert "absolute" in message


def test_the_runtime_stands_in_a_package_of_its_own() -> None:
    files = runtime_files()
    assert "airflow_provider_mlx/runtime/main.py" in files
    assert "airflow_provider_mlx/runtime/bundle_init.py" not in files
    assert b"inside a job" in files["airflow_provider_mlx/__init__.py"]
    assert {name.rpartition(".")[2] for name in files} == {"py"}


def test_a_bundle_runs_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nimport team\nX = 2\ndef step(y): return X + y + team.Z\n"
    sliced = slice_function(text, filename="d.py", qualname="step", first_line=4)
    bundle = step_bundle(sliced, {"team/__init__.py": b"Z = 100\n"})
    assert f"source/{SLICE_MODULE}.py" in bundle.files
    (tmp_path / "bundle.zip").write_bytes(bundle.data)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path / "work", [n for n in archive.namelist() if n.startswith("source/")])
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from mlx_step_source import step; print(step(3))\n"
        "import airflow_provider_mlx.runtime.protocol as p; print(p.__file__)\n"
    )
    paths = [str(tmp_path / "bundle.zip"), str(tmp_path / "work" / "source")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *paths], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.splitlines()[0] == "105"
    assert "bundle.zip" in done.stdout.splitlines()[1]


@pytest.mark.parametrize("name", [f"{SLICE_MODULE}.py", "airflow_provider_mlx/x.py", "airflow_provider_mlx.py"])
def test_user_files_cannot_take_our_names(name: str) -> None:
    with pytest.raises(InvalidStep, match="a name that the bundle needs"):
        step_bundle(None, {name: b""})


def test_a_step_without_a_slice_has_its_files_and_the_runtime() -> None:
    bundle = step_bundle(None, {"train.py": b""})
    assert set(bundle.files) == {"source/train.py", *runtime_files()}
    assert "data" not in repr(bundle)
