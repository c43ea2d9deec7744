"""Codecs of plain things: JSON, text, bytes, files and folders."""

from __future__ import annotations

import itertools
import json
import os
import stat
from pathlib import Path
from typing import Any

from .codec_parts import count, cut, first_lines, glimpse, named
from .codecs import HashingWriter, plain
from .extraction import MAX_DIRECTORY_FILES, extract_tar
from .refusals import ArtifactError
from .wire import decode, encode

_COPY_BYTES = 1024 * 1024


def save_json(value: Any, sink: HashingWriter) -> None:
    """Wire JSON, UTF-8."""
    sink.write(json.dumps(encode(plain(value)), allow_nan=False, separators=(",", ":")).encode())


def load_json(path: Path, type_name: str) -> Any:
    """Wire JSON, decoded."""
    return decode(_read_json(path))


def save_verbatim(value: Any, sink: HashingWriter) -> None:
    """JSON word for word; NaN and the infinities as Python writes them."""
    sink.write(json.dumps(plain(value), separators=(",", ":")).encode())


def load_verbatim(path: Path, type_name: str) -> Any:
    """JSON word for word: a key ``mlx`` in it means nothing."""
    return _read_json(path)


def save_text(value: str, sink: HashingWriter) -> None:
    """UTF-8; a lone surrogate, which UTF-8 cannot say, is kept as Python's own escape does."""
    for start in range(0, len(value), _COPY_BYTES):
        sink.write(value[start : start + _COPY_BYTES].encode("utf-8", "surrogatepass"))


def load_text(path: Path, type_name: str) -> str:
    """UTF-8, line ends as they are."""
    return path.read_bytes().decode("utf-8", "surrogatepass")


def save_bytes(value: bytes, sink: HashingWriter) -> None:
    """As they are."""
    sink.write(value)


def load_bytes(path: Path, type_name: str) -> bytes:
    """As they are."""
    content = path.read_bytes()
    return bytearray(content) if type_name == "bytearray" else content  # type: ignore[return-value]


def save_file(value: Path, sink: HashingWriter) -> None:
    """A file's bytes, streamed."""
    if not value.is_file():
        raise ValueError(f"there is no file {str(value)!r}: the step returned its path without writing it")
    with value.open("rb") as reader:
        while chunk := reader.read(_COPY_BYTES):
            sink.write(chunk)


def load_file(path: Path, type_name: str) -> Path:
    """The local copy."""
    return path


def save_directory(value: Path, sink: HashingWriter) -> None:
    """
    A deterministic, uncompressed tar: sorted names, no times, no owners, only the executable bit.

    :raises ValueError: the folder holds a link or something that is no file, or more than can be taken out again.
    """
    import tarfile

    names = _names_below(str(value))
    if len(names) > MAX_DIRECTORY_FILES:
        raise ValueError(
            f"{str(value)!r} holds {len(names)} files and folders, more than the {MAX_DIRECTORY_FILES} of a directory "
            "artifact: pack them into fewer files"
        )
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_COPY_BYTES) as archive:  # type: ignore[call-overload]
        for name in names:
            path = value / name
            status = path.lstat()
            entry = tarfile.TarInfo(name)
            if stat.S_ISLNK(status.st_mode):
                raise ValueError(f"{str(path)!r} is a link: replace it with a copy, links do not travel")
            if stat.S_ISDIR(status.st_mode):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            elif stat.S_ISREG(status.st_mode):
                entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                with path.open("rb") as reader:
                    archive.addfile(entry, reader)
            else:
                raise ValueError(f"{str(path)!r} is neither a file nor a folder")
            archive.members.clear()  # which nobody asks for again


def _names_below(folder: str) -> list[str]:
    """Names relative to the folder, sorted: for a hundred thousand files some ten megabytes, and that is all."""
    found = []
    for parent, folders, files in os.walk(folder):
        below = parent[len(folder) :].lstrip("/")
        found += [f"{below}/{name}" if below else name for name in (*folders, *files)]
    return sorted(found)


def load_directory(path: Path, type_name: str) -> Path:
    """The folder, extracted beside the archive."""
    folder = path.with_name(f"{path.name}.extracted")
    return folder if folder.exists() else extract_tar(path, folder)  # a `Path` parameter may have asked before


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the JSON of {path.name} cannot be read: {error}") from error


def describe_json(value: Any) -> list[str]:
    """Its first members, at most two levels deep."""
    size = [count(len(value), "member")] if isinstance(value, (dict, list, tuple)) else []
    return [*size, glimpse(value)]


def describe_text(value: str) -> list[str]:
    """Its first lines."""
    return first_lines(value)


def describe_bytes(value: bytes) -> list[str]:
    """Its size."""
    return [count(len(value), "byte")]


def describe_file(value: Path) -> list[str]:
    """Its name and size."""
    return [f"{cut(value.name)}, {count(value.stat().st_size, 'byte')}"]


def describe_directory(value: Path) -> list[str]:
    """What stands at its top."""
    with os.scandir(value) as entries:
        names = [entry.name for entry in itertools.islice(entries, 1000)]
    return [f"{cut(value.name)}: {named(sorted(names))}"]


# The same under the names of the rows for models.
save_model_file, load_model_file, describe_model_file = save_file, load_file, describe_file
save_model_directory, load_model_directory = save_directory, load_directory
describe_model_directory, describe_verbatim = describe_directory, describe_json
