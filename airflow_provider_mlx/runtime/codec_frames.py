"""The codec of pandas', polars' and Arrow's frames. Frameworks are imported in the functions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Iterator, Sequence  # noqa: UP035  (Python 3.9)

from .codec_parts import at_least, count, cut, first_lines, glimpse, reading
from .codecs import HashingWriter, type_name
from .refusals import ArtifactError

CHUNK_BYTES = 64 * 1024 * 1024
"""A frame is converted and written in row groups of about this size, so that it is never held twice."""
_ROWS_SHOWN = 3
_COLUMNS_SHOWN = 8
SAMPLE_ROWS = 10_000


def save_parquet(value: Any, sink: HashingWriter) -> None:
    """Parquet, in row groups; pandas' index and dtypes travel in Arrow's schema metadata."""
    kind = type_name(type(value))
    if kind == "polars.DataFrame":
        value.write_parquet(sink)
    elif kind == "pyarrow.Table":
        import pyarrow.parquet as parquet

        with parquet.ParquetWriter(
            sink, value.schema, use_dictionary=_repeating(value.slice(0, SAMPLE_ROWS))
        ) as writer:
            writer.write_table(value, row_group_size=_rows_per_group(value.nbytes, value.num_rows))
    else:
        _save_pandas(_as_frame(value) if kind == "pandas.Series" else value, sink)


def _as_frame(series: Any) -> Any:
    """A frame of one column; a Series without a name has the label 0 there, as pandas gives it."""
    if series.name is not None and not isinstance(series.name, str):
        raise ValueError(f"the Series is named {series.name!r}: a name must be text, or none")
    return series.to_frame()


def _save_pandas(frame: Any, sink: HashingWriter) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        schema = pyarrow.Schema.from_pandas(frame)
        _check_labels(frame, schema)
        rows = _rows_per_group(int(frame.memory_usage(index=True).sum()), len(frame))

        def converted(start: int, count: int) -> Any:
            return pyarrow.Table.from_pandas(_named_as(schema, frame.iloc[start : start + count]), schema=schema)

        with parquet.ParquetWriter(sink, schema, use_dictionary=_repeating(converted(0, SAMPLE_ROWS))) as writer:
            for start in range(0, max(len(frame), 1), rows):
                part = converted(start, rows)
                # The part's own metadata describes the part's index; the file's describes the whole.
                writer.write_table(part.replace_schema_metadata(schema.metadata))
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the DataFrame cannot be written as Parquet: {error}. Every column needs one type and a name of its own; "
            "convert the column, rename mixed labels to text, or write a file and return its Path"
        ) from error


def _repeating(sample: Any) -> list[str] | bool:
    """
    The columns that are worth a dictionary, by the first rows; True, for all of them, where some are nested.

    Parquet tries one for each column and drops it when it has grown too large. On numbers that hardly repeat that takes
    longer than all the rest of the writing.
    """
    from pyarrow import compute, types

    if any(types.is_nested(field.type) for field in sample.schema):
        return True  # columns below columns have other names
    countable = (types.is_floating, types.is_integer, types.is_temporal, types.is_string, types.is_large_string)
    return [
        field.name for field, column in zip(sample.schema, sample.columns)
        if not any(kind(field.type) for kind in countable) or 2 * compute.count_distinct(column).as_py() <= len(column)
    ]  # fmt: skip


def _check_labels(frame: Any, schema: Any) -> None:
    """Parquet's names are text; Arrow restores labels of one type, and would return mixed ones as text."""
    again = schema.empty_table().to_pandas()
    if list(again.columns) != list(frame.columns) or again.index.names != frame.index.names:
        raise ValueError(f"the labels {list(frame.columns)[:20]} (index {list(frame.index.names)}) would not come back")


def _named_as(schema: Any, part: Any) -> Any:
    """The part under the schema's names, which are text: pyarrow looks columns and index levels up by them."""
    columns, levels = schema.names[: part.shape[1]], schema.names[part.shape[1] :]
    part = part.set_axis(columns, axis="columns")
    if levels:  # a RangeIndex is metadata only
        part.index = part.index.set_names([None if name.startswith("__index_level_") else name for name in levels])
    return part


def _rows_per_group(size: int, rows: int) -> int:
    return max(1, int(rows * min(1.0, CHUNK_BYTES / max(size, 1))))


def load_parquet(path: Path, type_name: str) -> Any:
    """
    A pandas or polars DataFrame, a Series or an Arrow table, as ``type_name`` says; else a pandas DataFrame.

    :param path: a file, or a folder of files that are one table (``partitions.py``).
    """
    if type_name != "polars.DataFrame":
        import pyarrow

        at_least(pyarrow, (14, 0, 1), "unpickles what it finds in a file's schema")
    if path.is_dir():
        from .partitions import load_folder

        table = load_folder(path, type_name)
    else:
        table = _load_file(path, type_name)
    if type_name in ("polars.DataFrame", "pyarrow.Table"):
        return table
    # Columns are freed as they are converted.
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    return _only_column(frame, path) if type_name == "pandas.Series" else frame


def _load_file(path: Path, type_name: str) -> Any:
    if type_name == "polars.DataFrame":
        import polars

        with reading(path, "frame", polars.exceptions.PolarsError):
            return polars.read_parquet(path, glob=False)
    import pyarrow

    with reading(path, "frame", pyarrow.ArrowException, OSError, ValueError):
        return _read_by_columns(path)


def _read_by_columns(path: Path) -> Any:
    """
    A file as an Arrow table, a few columns at a time.

    Read at once, every column's encoded bytes are in memory beside all decoded ones: twice the table. A column that was
    read alone is one piece, besides, and becomes pandas' own without a copy where its type allows.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    names = schema.names
    if not names or len(set(names)) < len(names):  # no column to know the number of rows by; or none to ask for
        return file.read()
    columns = []
    for wanted in lots(
        names, sum(file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups))
    ):
        found = file.read(columns=wanted)  # and what lies below them, by their dotted names
        columns += [found.column(name) for name in wanted]
    return pyarrow.Table.from_arrays(columns, schema=schema)


def lots(names: Sequence[str], size: int) -> Iterator[list[str]]:
    """So many columns at a time that, on average, they are ``CHUNK_BYTES``; one at least."""
    at_once = max(1, CHUNK_BYTES * len(names) // max(size, 1))
    for start in range(0, len(names), at_once):
        yield list(names[start : start + at_once])


def _only_column(frame: Any, path: Path) -> Any:
    if frame.shape[1] != 1:
        raise ArtifactError(
            f"{path.name} has {frame.shape[1]} columns, and a Series has one", "annotate the parameter `pd.DataFrame`"
        )
    series = frame.iloc[:, 0]
    return series.rename(series.name if isinstance(series.name, str) else None)


def describe_parquet(value: Any) -> list[str]:
    """Its shape, its columns with their types, and its first rows."""
    kind = type_name(type(value))
    if kind == "pandas.Series":
        value, kind = value.to_frame(), "pandas.DataFrame"
    rows, columns = value.shape
    if kind == "pyarrow.Table":
        types = [f"{field.name} {field.type}" for field in itertools.islice(value.schema, _COLUMNS_SHOWN + 1)]
        head = [glimpse(row) for row in value.slice(0, _ROWS_SHOWN).to_pylist()]
    elif kind == "polars.DataFrame":
        types = [f"{name} {dtype}" for name, dtype in zip(value.columns, value.dtypes)]
        head = [glimpse(row) for row in value.head(_ROWS_SHOWN).to_dicts()]
    else:
        types = [f"{name} {dtype}" for name, dtype in value.dtypes.iloc[: _COLUMNS_SHOWN + 1].items()]
        head = first_lines(value.iloc[:_ROWS_SHOWN, :_COLUMNS_SHOWN].to_string(max_colwidth=24))
    more = f", and {columns - _COLUMNS_SHOWN} more" if columns > _COLUMNS_SHOWN else ""
    shape = f"{count(rows, 'row')} × {count(columns, 'column')}: "
    return [shape + cut(", ".join(types[:_COLUMNS_SHOWN])) + more, *head]
