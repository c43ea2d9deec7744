"""
The contract that every codec keeps. A codec's test module is its fixtures and its declared differences::

    class TestGrid(CodecContract):
        @pytest.fixture
        def codec(self):
            return GRID

        @pytest.fixture
        def examples(self):
            return {"a small grid": Grid(2, 3), "an empty one": Grid(0, 0)}

It runs where the codec's packages are, without Airflow: what it tests is what a job does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_provider_mlx.runtime.codec import DATA, MODEL, Codec, HashingWriter
from airflow_provider_mlx.runtime.codec_parts import LONGEST_LINE
from airflow_provider_mlx.runtime.codecs import IMPORT_NAMES, codec_for, type_name
from airflow_provider_mlx.runtime.refusals import ArtifactError

FORBIDDEN: Final = frozenset({
    "pickle.find_class", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec",
})  # fmt: skip
"""Audit events that loading a file must not raise: it would run code, or ask a network."""

DAMAGES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "something else": lambda whole: b"\x00garbage\xff" * 40,
}
"""What may have become of a file, by the name under which a suite declares it ``undetected``."""


class CodecContract:
    """Inherit it, and give it a codec and values."""

    @pytest.fixture
    def codec(self) -> Codec:
        """The row."""
        raise NotImplementedError

    @pytest.fixture
    def examples(self) -> Mapping[str, Any]:
        """Values that it takes, by a few words about each."""
        raise NotImplementedError

    @pytest.fixture
    def refused(self) -> Mapping[str, Any]:
        """Values that look like its own, and that it must refuse before anything is lost."""
        return {}

    @pytest.fixture
    def undetected(self) -> Mapping[str, str]:
        """The :data:`DAMAGES` that its format cannot show, and why; the artifact's digest shows all of them."""
        return {}

    @pytest.fixture(autouse=True)
    def in_a_folder_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in a job."""
        monkeypatch.chdir(tmp_path)

    def same(self, value: Any, loaded: Any) -> None:
        """Fail unless what was loaded is what was saved; to be overridden where ``==`` does not say."""
        assert type(loaded) is type(value)
        assert loaded == value

    def test_the_row_is_whole(self, codec: Codec) -> None:
        """Name, class and suffix are of the known forms, and each refusal has a way out."""
        assert codec.name.isidentifier()
        assert codec.kind in (DATA, MODEL)
        assert codec.suffix == "" or codec.suffix.startswith(".")
        assert all(codec.cannot.values()) if codec.cannot else True

    def test_each_value_is_taken_by_this_codec(self, codec: Codec, examples: Mapping[str, Any]) -> None:
        """Ours do not take it first; a third party's row is registered and found."""
        assert examples
        for name, value in examples.items():
            found = codec_for(value)
            assert found is not None, name
            assert found.name == codec.name, name

    def test_there_and_back(self, codec: Codec, examples: Mapping[str, Any], tmp_path: Path) -> None:
        """What is loaded is what was saved."""
        for name, value in examples.items():
            file = tmp_path / f"{name}{codec.suffix}"
            _save(codec, value, file)
            self.same(value, codec.load(file, type_name(type(value))))

    def test_it_only_writes_forwards(self, codec: Codec, examples: Mapping[str, Any], tmp_path: Path) -> None:
        """Nothing is asked of the sink but ``write`` and ``flush``, so it may be the connection to a store."""
        for name, value in examples.items():
            pipe = _Pipe()
            hashing = HashingWriter(pipe)  # type: ignore[arg-type]
            codec.save(value, hashing)
            content = b"".join(pipe.parts)
            assert hashing.size == len(content), name
            assert hashing.sha256 == hashlib.sha256(content).hexdigest(), name

    def test_the_same_value_is_the_same_bytes(self, codec: Codec, examples: Mapping[str, Any], tmp_path: Path) -> None:
        """No times, no versions of the day, no order that changes."""
        for name, value in examples.items():
            assert _save(codec, value, tmp_path / "first") == _save(codec, value, tmp_path / "second"), name

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_file_is_never_another_value(
        self, codec: Codec, examples: Mapping[str, Any], undetected: Mapping[str, str], damage: str, tmp_path: Path
    ) -> None:
        """It is an error that says so."""
        if damage in undetected:
            assert undetected[damage], "say why"
            return
        for name, value in examples.items():
            file = tmp_path / f"{name}{codec.suffix}"
            _save(codec, value, file)
            file.write_bytes(DAMAGES[damage](file.read_bytes()))
            try:
                loaded = codec.load(file, type_name(type(value)))
            except ArtifactError:
                continue
            self.same(value, loaded)  # nothing was lost: the end of a tar is empty blocks

    def test_what_it_cannot_keep_is_refused(self, codec: Codec, refused: Mapping[str, Any], tmp_path: Path) -> None:
        """By the table, or by an error that says what to do, and not by what is loaded later."""
        for name, value in refused.items():
            if codec_for(value) is None:
                continue
            with pytest.raises((ValueError, TypeError), match=r"\w{3}"):
                print(name, _save(codec, value, tmp_path / "refused"))

    def test_its_packages_are_named(self, codec: Codec, examples: Mapping[str, Any]) -> None:
        """What it names is there, and the packages of the values' types are among it: a job is checked by them."""
        for name, value in examples.items():
            packages = codec.packages_of(type_name(type(value)))
            imported = [IMPORT_NAMES.get(package, package) for package in packages]
            assert [module for module in imported if importlib.util.find_spec(module) is None] == [], name
            members = value.values() if codec.members and isinstance(value, dict) else (value,)
            tops = {type(member).__module__.partition(".")[0] for member in members}
            assert tops - set(imported) - sys.stdlib_module_names - {"airflow_provider_mlx"} == set(), name

    def test_its_module_imports_no_package(self, codec: Codec, examples: Mapping[str, Any]) -> None:
        """They are imported in the functions: a job pays for what it uses."""
        home = codec.home if "." in codec.home else f"airflow_provider_mlx.runtime.{codec.home}"
        every = {package for value in examples.values() for package in codec.packages_of(type_name(type(value)))}
        heavy = {IMPORT_NAMES.get(package, package) for package in every} - {home.partition(".")[0]}
        code = f"import sys, {home}\nprint(*sorted(set({sorted(heavy)!r}) & set(sys.modules)))"
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert done.stdout.split() == []

    def test_loading_unpickles_nothing_and_asks_no_network(
        self, codec: Codec, examples: Mapping[str, Any], tmp_path: Path
    ) -> None:
        """Watched by an audit hook; once before, since packages may do as they like when they are imported."""
        for name, value in examples.items():
            for turn in ("first", "watched"):
                file = tmp_path / f"{turn} {name}{codec.suffix}"
                _save(codec, value, file)
                with _watching() as seen:
                    codec.load(file, type_name(type(value)))
            assert seen == [], name

    def test_a_description_is_short(self, codec: Codec, examples: Mapping[str, Any]) -> None:
        """A few lines for the task's log."""
        for name, value in examples.items():
            lines = codec.describe(value)
            assert all(isinstance(line, str) and "\n" not in line for line in lines), name
            assert len(lines) <= 20, name
            assert max(map(len, lines), default=0) <= 2 * LONGEST_LINE, name


def _save(codec: Codec, value: Any, file: Path) -> str:
    with file.open("wb") as sink:
        hashing = HashingWriter(sink)
        codec.save(value, hashing)
    return hashing.sha256


class _Pipe:
    """Takes what is written, and can do nothing else."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...


_watchers: list[list[str]] = []
_hooked = False


def _note(event: str, _: object) -> None:
    if event in FORBIDDEN:
        for seen in _watchers:
            seen.append(event)


@contextmanager
def _watching() -> Iterator[list[str]]:
    """The forbidden events of this process; an audit hook stays for good, so it is installed once."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_note)
        _hooked = True
    seen: list[str] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
