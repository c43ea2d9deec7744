"""
A folder of Parquet files as one table: what Spark, pandas, polars and Arrow call a partitioned dataset.

The files are those named ``*.parquet``, in the order of their paths; folders named ``key=value`` (hive layout) are
columns. Files and folders that begin with ``_`` or ``.`` are a writer's own notes, and are left alone.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator  # noqa: UP035  (Python 3.9)

from .refusals import ArtifactError

SUFFIX = ".parquet"


def is_part(name: str) -> bool:
    """Whether a file belongs to the table, by its name relative to the table's folder."""
    return name.endswith(SUFFIX) and not any(part.startswith(("_", ".")) for part in name.split("/"))


def parts_of(folder: Path) -> list[str]:
    """
    The table's files, relative to its folder.

    :raises ArtifactError: there are none.
    """
    names = []
    for parent, _, files in os.walk(folder):
        below = parent[len(str(folder)) :].lstrip("/")
        names += [f"{below}/{name}" if below else name for name in files]
    found = sorted(filter(is_part, names))
    if not found:
        raise no_parts(str(folder), names)
    return found


def no_parts(where: str, names: Iterable[str]) -> ArtifactError:
    """The refusal of a folder without a single part."""
    shown = ", ".join(sorted(names)[:5]) or "nothing at all"
    return ArtifactError(
        f"{where} is no table: it holds no file named *{SUFFIX}, but {shown}",
        "annotate the parameter with `Path` (or `Dataset`) and read it as what it is",
    )


def load_folder(folder: Path, type_name: str) -> Any:
    """A polars DataFrame or an Arrow table of all parts."""
    return _polars(folder) if type_name == "polars.DataFrame" else _arrow(folder)


def _arrow(folder: Path) -> Any:
    import pyarrow
    import pyarrow.dataset
    import pyarrow.parquet

    from .codec_frames import lots

    files = [str(folder / name) for name in parts_of(folder)]
    data = pyarrow.dataset.dataset(files, format="parquet", partitioning="hive", partition_base_dir=str(folder))
    # A dataset has the first file's columns and would leave out what only later files have.
    schemas = [pyarrow.parquet.read_schema(file) for file in files]
    try:
        whole = pyarrow.unify_schemas([data.schema, *schemas])
    except pyarrow.ArrowException as error:
        raise _not_one_table(folder, error) from error
    data = data.replace_schema(whole.with_metadata(data.schema.metadata))
    size = sum(Path(file).stat().st_size for file in files)
    # A few columns at a time, each in one piece: pandas takes it without a copy where its type allows.
    columns = [
        column
        for wanted in lots(data.schema.names, size)
        for column in data.to_table(columns=wanted).combine_chunks().columns
    ]
    return pyarrow.Table.from_arrays(columns, schema=data.schema)


def _polars(folder: Path) -> Any:
    import polars

    names = parts_of(folder)
    try:
        with _plainly_named(folder) as place:
            files = [str(place / name) for name in names]
            return polars.read_parquet(files, hive_partitioning=True, glob=False)
    except polars.exceptions.PolarsError as error:
        raise _not_one_table(folder, error) from error


@contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """The folder by a path without ``=``: polars makes a column of every ``key=value`` above the table, too."""
    if "=" not in str(folder):
        yield folder
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mlx-") as place:
        link = Path(place, "table")
        link.symlink_to(folder)
        yield link


def _not_one_table(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"the parts of {folder} do not make one table: {error}",
        "write all parts with the same columns and types, or annotate the parameter with `Path` and read them yourself",
    )
