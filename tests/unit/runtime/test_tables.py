"""Parquet that we did not write: a step's file or folder, and datasets, become the frame that the annotation names."""

from __future__ import annotations

import pandas as pd
import pytest

from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset

WRITES = """
    import pandas as pd
    from pathlib import Path
    def frame():
        return pd.DataFrame({"a": range(6), "s": list("abcdef"), "year": [2025] * 3 + [2026] * 3, "city": ["São", "b", "c"] * 2})
    def folder():
        frame().to_parquet("set", partition_cols=["year", "city"])
        Path("set/_SUCCESS").write_text("")
        return Path("set")
    def file():
        frame().to_parquet("one.parquet")
        return Path("one.parquet")
    def csv():
        frame().to_csv("one.csv")
        return Path("one.csv")
    def empty():
        Path("set").mkdir()
        Path("set/_SUCCESS").write_text("")
        return Path("set")
"""
READS = """
    from __future__ import annotations
    import pandas as pd, polars as pl, pyarrow as pa
    def run(first: pd.DataFrame, second: pl.DataFrame | None, third: list[pa.Table]):
        found = [first.to_dict("records"), second.to_dicts(), third[0].to_pylist()]
        assert first is not None and type(first) is pd.DataFrame and list(first.index) == list(range(len(first)))
        return found
"""
ROWS = [
    {"a": number, "s": letter, "year": 2025 + number // 3, "city": ["São", "b", "c"][number % 3]}
    for number, letter in enumerate("abcdef")
]


def written(job, function: str) -> ArtifactReference:
    done = job.run(WRITES, payload={"kind": "function", "module": "step", "function": function})
    assert done.status == 0, done.output
    return ArtifactReference.from_wire(done.artifact)


def read(job, given, **options):
    done = job.run(READS, args=(given, given, [given]), **options)
    assert done.status == 0, done.output
    return [sorted(rows, key=lambda row: row["a"]) for rows in done.value]


@pytest.mark.parametrize(("function", "codec"), [("folder", "directory"), ("file", "file")])
def test_parquet_that_a_step_wrote_is_the_frame_that_the_annotation_names(job, function, codec):
    given = written(job, function)
    assert given.codec == codec
    assert read(job, given) == [ROWS] * 3


@pytest.fixture
def lake(tmp_path):
    """Data of the user's own, below a folder whose name looks like a partition."""
    folder = tmp_path / "lake of=day 1"
    folder.mkdir()
    frame = pd.DataFrame(ROWS)
    frame.to_parquet(folder / "one.parquet")
    frame.to_parquet(folder / "set", partition_cols=["year", "city"])
    (folder / "set/_SUCCESS").write_text("")
    (folder / "set/_temporary/0").mkdir(parents=True)
    frame.to_parquet(folder / "set/_temporary/0/half.parquet")
    return folder


@pytest.mark.parametrize("name", ["one.parquet", "set", "set/"])
def test_a_dataset_on_a_mounted_store_is_read_where_it_lies(job, lake, name):
    assert read(job, Dataset(f"{lake.as_uri()}/{name}")) == [ROWS] * 3


@pytest.mark.parametrize("name", ["one.parquet", "set"])
def test_a_dataset_on_a_store_that_is_not_mounted_is_brought(job, lake, s3, tmp_path, name):
    import boto3

    client = boto3.client("s3", endpoint_url=s3["endpoint_url"], region_name="us-east-1")
    for path in lake.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "mlx", f"{tmp_path.name}/{path.relative_to(lake).as_posix()}")

    def change(context):
        context["store"].update(options={"s3": s3}, allowed=[f"s3://mlx/{tmp_path.name}"])

    job.env.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    assert read(job, Dataset(f"s3://mlx/{tmp_path.name}/{name}"), change=change) == [ROWS] * 3


def test_columns_that_only_later_parts_have_are_not_lost(job, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(folder / "0.parquet")
    pd.DataFrame({"a": [2], "b": ["x"]}).to_parquet(folder / "1.parquet")
    source = "import pyarrow as pa\ndef run(table: pa.Table):\n    return table.to_pylist()"
    done = job.run(source, args=(Dataset(folder.as_uri()),))
    assert done.value == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    error = job.run(source.replace("pyarrow as pa", "polars as pl").replace("pa.Table", "pl.DataFrame"),
                    args=(Dataset(folder.as_uri()),)).error  # fmt: skip
    assert error["reason"] == "ArtifactError"
    assert "do not make one table" in error["message"]


def test_parts_of_different_types_are_refused(job, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(folder / "0.parquet")
    pd.DataFrame({"a": ["x"]}).to_parquet(folder / "1.parquet")
    error = job.run(
        "import pandas as pd\ndef run(table: pd.DataFrame):\n    return 1", args=(Dataset(folder.as_uri()),)
    ).error
    assert "do not make one table" in error["message"]
    assert "same columns and types" in error["remedy"]


@pytest.mark.parametrize(
    ("function", "says"),
    [("csv", "was given file://"), ("empty", "it holds no file named *.parquet, but _SUCCESS")],
)
def test_what_is_no_parquet_is_refused_with_a_way_out(job, function, says):
    error = job.run(
        "import pandas as pd\ndef run(table: pd.DataFrame):\n    return 1", args=(written(job, function),)
    ).error
    assert error["reason"] == "ArtifactError"
    assert says in error["message"]
    assert "annotate the parameter with `Path` (or `Dataset`)" in error["remedy"]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("{lake}/none.parquet", "there is no object"), ("{lake}/", "no table"), ("file:///etc/x.parquet", "outside"),
        ("s3://mlx/lake/none", "holds no file named *.parquet, but nothing at all"),
    ],
)  # fmt: skip
def test_a_dataset_that_is_not_there_or_must_not_be_read_is_refused(job, tmp_path, s3, uri, says):
    (tmp_path / "lake").mkdir()

    def change(context):
        context["store"].update(options={"s3": s3}, allowed=[(tmp_path / "lake").as_uri(), "s3://mlx/lake"])

    job.env.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    error = job.run(
        "import pandas as pd\ndef run(table: pd.DataFrame):\n    return 1",
        args=(Dataset(uri.format(lake=(tmp_path / "lake").as_uri())),), change=change,
    ).error  # fmt: skip
    assert error["reason"] == "ArtifactError"
    assert says in error["message"]


def test_a_dataset_without_a_frame_in_the_annotation_stays_a_dataset(job, lake):
    done = job.run(
        "from airflow_provider_mlx import Dataset\ndef run(a: Dataset, b):\n    return [type(a).__name__, b.uri]",
        args=(Dataset(lake.as_uri()),) * 2,
    )
    assert done.value == ["Dataset", lake.as_uri()]


def test_only_columns_that_repeat_get_a_dictionary(job):
    source = """
        import numpy as np, pandas as pd
        def run():
            count = 20_000
            return pd.DataFrame({
                "random": np.random.default_rng(7).normal(size=count), "few": [0.5, 1.5] * (count // 2),
                "id": range(count), "word": ["x", "y"] * (count // 2), "kind": pd.Categorical(["u", "v"] * (count // 2)),
            })
    """
    import pyarrow.parquet

    done = job.run(source)
    group = pyarrow.parquet.ParquetFile(done.attempt / "outputs/return_value.parquet").metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.path_in_schema: column.has_dictionary_page for column in columns} == {
        "random": False, "few": True, "id": False, "word": True, "kind": True,
    }  # fmt: skip
