"""Codecs of NumPy's arrays and SciPy's sparse ones, all without pickle. Frameworks are imported in the functions."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035  (Python 3.9)

from .codec_parts import MOST_LINES, count, cut, reading
from .codecs import HashingWriter
from .refusals import ArtifactError

_DAMAGE = (ValueError, SyntaxError, EOFError, KeyError, OSError, zipfile.BadZipFile, NotImplementedError)
_NUMBERS_LOOKED_AT = 1_000_000
"""For an array's range in the task's log: milliseconds, whatever its size."""


def save_npy(value: Any, sink: HashingWriter) -> None:
    """NumPy's .npy, without pickle."""
    import numpy

    numpy.lib.format.write_array(sink, numpy.asarray(_storable(value)), allow_pickle=False)


def load_npy(path: Path, type_name: str) -> Any:
    """An array; ``numpy.load`` would also take a zip of arrays, which is none."""
    import numpy

    with reading(path, "array", *_DAMAGE), path.open("rb") as reader:
        return numpy.lib.format.read_array(reader, allow_pickle=False)


def describe_npy(value: Any) -> list[str]:
    """Shape, type and range."""
    return [f"{_shape(value)}{_range(value)}"]


def save_npz(value: Mapping[str, Any], sink: HashingWriter) -> None:
    """A zip of .npy files without compression, as ``numpy.savez`` writes it, in the dict's order and without times."""
    import numpy

    with zipfile.ZipFile(sink, "w") as archive:
        for name, array in value.items():
            if "\0" in name:
                raise ValueError(f"the name {name!r} holds a NUL, which a zip cannot keep")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                numpy.lib.format.write_array(member, numpy.asarray(_storable(array, name)), allow_pickle=False)


def load_npz(path: Path, type_name: str) -> dict[str, Any]:
    """The arrays by name, in the order in which they were saved."""
    import numpy

    found = {}
    with reading(path, "arrays", *_DAMAGE), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith(".npy") or entry.compress_type != zipfile.ZIP_STORED:
                raise ArtifactError(f"{path.name} holds {entry.filename!r}, which this codec does not write")
            with archive.open(entry) as member:
                found[entry.filename[: -len(".npy")]] = numpy.lib.format.read_array(member, allow_pickle=False)
    return found


def describe_npz(value: Mapping[str, Any]) -> list[str]:
    """How many arrays, and shape, type and range of the first ones."""
    shown = list(value.items())[: MOST_LINES - 1]
    return [count(len(value), "array"), *(cut(f"{name}: {_shape(array)}{_range(array)}") for name, array in shown)]


def save_sparse(value: Any, sink: HashingWriter) -> None:
    """SciPy's own .npz, uncompressed."""
    import scipy.sparse

    _storable(value.data)
    scipy.sparse.save_npz(sink, value, compressed=False)


def load_sparse(path: Path, type_name: str) -> Any:
    """A sparse array or matrix; SciPy reads its file without pickle."""
    import scipy.sparse

    with reading(path, "sparse array", *_DAMAGE):
        value = scipy.sparse.load_npz(path)
        # SciPy's compiled code trusts these numbers: one that is out of range would read foreign memory.
        if hasattr(value, "check_format"):
            value.check_format(full_check=True)
        return value


def describe_sparse(value: Any) -> list[str]:
    """Shape, type and how much of it is there."""
    return [f"{_shape(value)}, {value.format}, {count(value.nnz, 'stored value')}"]


def _storable(value: Any, name: str = "") -> Any:
    import numpy

    what = f"the array {name!r}" if name else "an array"
    if type(value) not in (numpy.ndarray, numpy.memmap):
        raise ValueError(f"{what} is a {type(value).__name__}, and would come back as a plain one: convert it")
    if value.dtype.hasobject:
        raise ValueError(
            f"{what} of Python objects (dtype {value.dtype}) cannot be written without pickle: give it a numeric, "
            "text or datetime dtype, or return a list"
        )
    return value


def _shape(value: Any) -> str:
    return f"{' × '.join(map(str, value.shape)) or 'one number'}, {value.dtype}"


def _range(value: Any) -> str:
    """The least and greatest of the first numbers; nothing for what has no order, or would have to be copied."""
    if value.dtype.kind not in "biuf" or not value.size or not value.flags.c_contiguous:
        return ""
    seen = value.reshape(-1)[:_NUMBERS_LOOKED_AT]
    least, greatest = seen.min().item(), seen.max().item()
    of = f" (of the first {_NUMBERS_LOOKED_AT:,})" if value.size > _NUMBERS_LOOKED_AT else ""
    return ", holds NaN" + of if math.isnan(least) else f", from {least:.6g} to {greatest:.6g}{of}"
