"""What a step gets and what it returns: each codec there and back, through two real jobs."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset
from tests.unit.runtime.conftest import sha256

FRAME = """
    import pandas as pd
    def frame():
        index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 3)], names=["k", None])
        return pd.DataFrame({
            "i": pd.array([1, None, 3], dtype="Int64"), "f": [0.5, float("nan"), 2.0], "s": ["x", None, "ä"],
            "c": pd.Categorical(["u", "v", "u"], categories=["v", "u", "w"], ordered=True),
            "t": pd.to_datetime(["2026-01-01", None, "2026-03-01"], utc=True),
        }, index=index)
    def run():
        return frame()
"""


def reference(done) -> ArtifactReference:
    return ArtifactReference.from_wire(done.artifact)


def pass_on(job, produce: str, consume: str):
    """One job's result is the other job's argument; what the other one returns."""
    first = job.run(produce)
    assert first.status == 0, first.output
    second = job.run(consume, args=(reference(first),))
    assert second.status == 0, second.output
    return first.artifact, second.value


def test_a_pandas_frame_keeps_index_and_dtypes(job):
    consume = FRAME.replace("def run():\n        return frame()", "") + (
        "    def run(got: pd.DataFrame):\n"
        "        pd.testing.assert_frame_equal(got, frame())\n"
        "        return str(got.index.names)\n"
    )
    artifact, value = pass_on(job, FRAME, consume)
    assert (artifact["codec"], artifact["type"]) == ("parquet", "pandas.DataFrame")
    assert artifact["uri"].endswith("/outputs/return_value.parquet")
    assert value == "['k', None]"


def test_column_labels_that_are_all_numbers_stay_numbers(job):
    produce = "import pandas as pd\ndef run():\n    return pd.DataFrame([[1, 2.5]], columns=[10, 20])"
    _, value = pass_on(job, produce, "def run(got):\n    return got.columns.tolist()")
    assert value == [10, 20]


@pytest.mark.parametrize(
    "index", ["None", "pd.RangeIndex(5, 5 + 2 * 1000, 2)", "pd.Index(list(range(1000)[::-1]), name='n')"]
)
def test_a_frame_in_several_row_groups_is_whole_again(job, index):
    make = f"import pandas as pd\ndef frame():\n    return pd.DataFrame({{'a': range(1000)}}, index={index})\n"
    produce = "from airflow_provider_mlx.runtime import codec_frames\ncodec_frames.CHUNK_BYTES = 4096\n" + make
    consume = (
        make + "def run(got):\n    pd.testing.assert_frame_equal(got, frame())\n    return type(got.index).__name__"
    )
    _, value = pass_on(job, produce + "def run():\n    return frame()", consume)
    assert value == ("Index" if "name" in index else "RangeIndex")


def test_an_empty_frame_keeps_its_columns(job):
    produce = "import pandas as pd\ndef run():\n    return pd.DataFrame({'a': pd.Series([], dtype='int32')})"
    _, value = pass_on(job, produce, "def run(got):\n    return [str(t) for t in got.dtypes] + [len(got)]")
    assert value == ["int32", 0]


def test_a_parquet_artifact_becomes_the_frame_that_the_annotation_names(job):
    produce = "import polars as pl\ndef run():\n    return pl.DataFrame({'a': [1, 2], 'b': [['x'], []]})"
    consume = """
        from __future__ import annotations
        import pandas as pd, polars as pl, pyarrow as pa
        from pathlib import Path
        from airflow_provider_mlx import Artifact, Dataset
        def run(a: pd.DataFrame, b: pl.DataFrame | None, c: pa.Table, d: Path, e: Artifact, f: Dataset, g, h: Missing,
                i: list[pa.Table], j: dict[str, Path]):
            assert e.uri == f.uri and d.read_bytes()[:4] == b"PAR1" and d == j["k"] and g is h is b
            assert b.to_dicts() == c.to_pylist() and a["a"].tolist() == [1, 2]
            return [type(x).__module__.split(".")[0] + "." + type(x).__name__ for x in (a, b, c, e, f, g, h, i[0])]
    """
    first = job.run(produce)
    given = reference(first)
    done = job.run(consume, args=(given,) * 8 + ([given], {"k": given}))
    assert done.status == 0, done.output
    mlx = "airflow_provider_mlx"
    assert done.value == [
        "pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", f"{mlx}.ArtifactReference", f"{mlx}.Dataset",
        "polars.DataFrame", "polars.DataFrame", "pyarrow.Table",
    ]  # fmt: skip


def test_an_arrow_table_keeps_its_schema(job):
    produce = (
        "import pyarrow as pa\ndef run():\n    return pa.table({'a': pa.array([1], pa.int8())}, metadata={'k': 'v'})"
    )
    _, value = pass_on(
        job, produce, "def run(t):\n    return [str(t.schema.field('a').type), t.schema.metadata[b'k'].decode()]"
    )
    assert value == ["int8", "v"]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "Duplicate column names"),
        ("pd.DataFrame({'a': [1, 'x']})", "cannot be written as Parquet"),
        ("pd.DataFrame({'a': [1], 7: [2]})", "would not come back"),
        ("pd.DataFrame({'a': [1]}, index=pd.Index([1.5], name=7))", "would not come back"),
        ("pd.Series([1], name=7)", "a name must be text"),
        ("np.ma.array([1, 2], mask=[0, 1]), np.arange(2)", "not plain JSON"),
        ("np.array([{}], dtype=object)", "without pickle"),
        ("np.ma.array([1, 2], mask=[0, 1])", "no codec takes"),
        ("type('Mine', (pd.DataFrame,), {})({'a': [1]})", "no codec takes"),
        ("{1: 2}", "not plain JSON"),
        ("Path('nothing.bin')", "without writing it"),
    ],
)
def test_what_would_be_lost_is_refused_with_a_way_out(job, expression, says):
    error = job.run(
        f"import numpy as np, pandas as pd\nfrom pathlib import Path\ndef run():\n    return {expression}"
    ).error
    assert error["reason"] == "StepFailed"
    assert says in error["message"] + error["remedy"]


def test_numpy_arrays_and_scalars(job):
    produce = "import numpy as np\ndef run():\n    return np.arange(6, dtype='>i2').reshape(2, 3).T"
    artifact, value = pass_on(job, produce, "def run(a):\n    return [a.dtype.str, a.tolist()]")
    assert artifact["codec"] == "npy"
    assert value == [">i2", [[0, 3], [1, 4], [2, 5]]]
    done = job.run(
        "import numpy as np\ndef run():\n    return {'a': np.float32(0.5), 'b': [np.int64(2), np.bool_(True)]}"
    )
    assert done.value == {"a": 0.5, "b": [2, True]}


def test_scikit_learn_models_and_code_that_hides_in_one(job):
    def change(context):
        context["outputs"]["multiple"] = True

    produce = """
        import os
        import numpy as np
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, StandardScaler
        def run():
            x = np.arange(40.0).reshape(20, 2)
            good = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(x, x[:, 0] > 19)
            return {"good": good, "bad": FunctionTransformer(os.system)}
    """
    outputs = job.run(produce, change=change).result["outputs"]
    good, bad = (ArtifactReference.from_wire(outputs[name]["artifact"]) for name in ("good", "bad"))
    assert (good.codec, good.type) == ("sklearn", "sklearn.pipeline.Pipeline")
    read = "def run(good, bad=None):\n    return good.predict([[0, 1], [38, 39]]).tolist()"
    assert job.run(read, args=(good,)).value == [False, True]
    error = job.run(read, args=(good, bad)).error
    assert error["reason"] == "ArtifactError"
    assert "posix.system" in error["message"]
    assert "skops.io.load" in error["remedy"]


def test_bytes_paths_and_folders(job):
    _, value = pass_on(job, "def run():\n    return b'\\x00\\xff'", "def run(b):\n    return list(b)")
    assert value == [0, 255]
    produce = "from pathlib import Path\ndef run():\n    p = Path('model.tar.gz'); p.write_bytes(b'abc'); return p"
    artifact, value = pass_on(
        job, produce, "def run(p):\n    p.write_bytes(b'mine'); return [p.name, str(type(p).__name__)]"
    )
    assert (artifact["codec"], value[0]) == ("file", "return_value.tar.gz")
    folder = """
        from pathlib import Path
        def run():
            root = Path("out"); (root / "deep/empty").mkdir(parents=True)
            (root / "deep/a.txt").write_text("A"); (root / "run.sh").write_text("#!"); (root / "run.sh").chmod(0o755)
            return root
    """
    read = """
        import os
        def run(p):
            return sorted((str(f.relative_to(p)), f.is_dir(), os.access(f, os.X_OK)) for f in p.rglob("*"))
    """
    artifact, value = pass_on(job, folder, read)
    assert artifact["codec"] == "directory"
    assert value == [
        ["deep", True, True], ["deep/a.txt", False, False], ["deep/empty", True, True], ["run.sh", False, True],
    ]  # fmt: skip
    assert job.run(folder).artifact["sha256"] == artifact["sha256"], "a folder's archive is deterministic"


def test_a_folder_that_is_a_model_is_a_folder_again(job):
    produce = """
        from pathlib import Path
        from typing import Annotated
        from airflow_provider_mlx import Model
        def run() -> Annotated[Path, Model("churn")]:
            Path("out").mkdir(); Path("out/weights").write_text("W"); return Path("out")
    """
    read = "from pathlib import Path\ndef run(p: Path):\n    return [f.name for f in p.iterdir()]"
    artifact, value = pass_on(job, produce, read)
    assert artifact["codec"] == "model_directory"
    assert value == ["weights"]


def test_one_folder_is_given_as_a_path_and_without_an_annotation(job):
    first = job.run(
        "from pathlib import Path\ndef run():\n    Path('o').mkdir(); Path('o/a').touch(); return Path('o')"
    )
    read = "from pathlib import Path\ndef run(a: Path, b):\n    return [sorted(x.name for x in p.iterdir()) for p in (a, b)]"
    assert job.run(read, args=(reference(first),) * 2).value == [["a"], ["a"]]


def test_a_model_as_code_is_refused_with_its_state(job):
    """PyTorch by name only: what counts is the type's name, and nothing is imported to look."""
    source = """
        def run():
            module = type("Module", (), {"__module__": "torch.nn.modules.module"})
            return {"net": type("Net", (module,), {})()}
    """
    error = job.run(source).error
    assert error["remedy"].startswith("return `model.state_dict()`")


def test_a_missing_package_of_an_annotated_dict_is_said_before_the_code_runs(job):
    source = """
        class Tensor: ...
        Tensor.__module__ = "torch"
        def run() -> dict[str, Tensor]:
            raise SystemExit("the code has run")
    """
    error = job.run(source).error
    assert error["reason"] == "JobMisconfigured"
    assert error["message"].startswith("before the step's code was started: torch and safetensors must be installed")


def test_a_folder_with_a_link_is_refused(job):
    source = (
        "from pathlib import Path\ndef run():\n    Path('o').mkdir(); Path('o/l').symlink_to('/etc'); return Path('o')"
    )
    error = job.run(source).error
    assert "is a link" in error["message"]


def test_a_users_own_mlx_key_is_never_taken_for_a_reference(job):
    own = "{'mlx': 'artifact/1', 'uri': 'file:///etc/passwd', 'n': float('inf')}"
    artifact, value = pass_on(job, f"def run():\n    return {own}", f"def run(got):\n    return got == {own}")
    assert artifact["codec"] == "verbatim"
    assert value is True


def test_datasets_as_arguments(job, tmp_path):
    source = """
        from pathlib import Path
        from airflow_provider_mlx import Dataset
        def run(a: Dataset, b: Dataset, c: Path, d):
            return [a.uri, b.version, str(c), d.uri]
    """
    local = Dataset("file:///data/churn%20x.csv")
    done = job.run(source, args=("s3://lake/a", Dataset("s3://lake/b", "7"), local, local))
    assert done.value == ["s3://lake/a", "7", "/data/churn x.csv", local.uri]
    error = job.run(source, args=("x", "y", Dataset("s3://lake/c"), 1)).error
    assert "annotate it with `Dataset`" in error["remedy"]


def test_a_reference_that_is_returned_is_passed_on(job):
    first = job.run("def run():\n    return 'x'")
    done = job.run(
        "from airflow_provider_mlx import Artifact\ndef run(a: Artifact):\n    return a", args=(reference(first),)
    )
    assert done.artifact == first.artifact


def test_a_changed_artifact_is_refused_with_both_digests(job):
    first = job.run("def run():\n    return 'x'")
    given = reference(first)
    (first.attempt / "outputs/return_value.txt").write_text("y")
    error = job.run("def run(a):\n    return a", args=(given,)).error
    assert error["reason"] == "ArtifactError"
    assert given.sha256 in error["message"]
    assert given.uri in error["message"]
    assert len([word for word in error["message"].replace(",", " ").split() if len(word) == 64]) == 2


def test_a_missing_artifact_names_itself(job):
    first = job.run("def run():\n    return 'x'")
    (first.attempt / "outputs/return_value.txt").unlink()
    error = job.run("def run(a):\n    return a", args=(reference(first),)).error
    assert (error["reason"], "there is no object" in error["message"]) == ("ArtifactError", True)


def test_an_artifact_outside_the_allowed_prefixes_is_refused(job, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "a.txt"
    outside.write_text("x")
    given = ArtifactReference(
        outside.as_uri(),
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        1,
        "text",
        "str",
        "a",
        "2d",
    )
    error = job.run("def run(a):\n    return a", args=(given,)).error
    assert error["reason"] == "ArtifactError"
    assert "lies outside" in error["message"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "link"])
def test_a_hostile_tar_is_refused(job, name):
    archive = job.root / "hostile.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo(name)
        if name == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(entry)
    given = ArtifactReference(archive.as_uri(), sha256(archive), archive.stat().st_size, "directory", "Path", "a", "v")
    error = job.run("def run(a):\n    return 1", args=(given,)).error
    assert error["reason"] == "ArtifactError"
    assert "was not extracted" in error["message"]


def test_a_malformed_reference_in_the_arguments_is_refused(job):
    def change(context):
        context["arguments"]["args"] = [{"mlx": "artifact/1", "uri": "file:///etc/passwd"}]

    error = job.run("def run(a):\n    return a", change=change).error
    assert "[0]: not an artifact reference" in error["message"]


def test_objects_on_a_mounted_store_are_files_of_the_mount(job, tmp_path):
    mount = tmp_path / "mount"

    def change(context):
        context["outputs"]["uri"] = "s3://ml/root/attempt-1"
        context["store"] = {"mounts": [{"uri": "s3://ml", "path": str(mount)}], "allowed": ["s3://ml/root"]}

    done = job.run("def run():\n    return 'x'", change=change)
    assert done.status == 0, done.output
    result = json.loads((mount / "root/attempt-1/result.json").read_text())
    assert result["outputs"]["return_value"]["artifact"]["uri"] == "s3://ml/root/attempt-1/outputs/return_value.txt"
    assert sorted(str(p.relative_to(mount)) for p in Path(mount).rglob("*") if p.is_file()) == [
        "root/attempt-1/outputs/return_value.txt", "root/attempt-1/result.json",
    ]  # fmt: skip


MANY = """
    from pathlib import Path
    def run(count: int):
        folder = Path("many")
        for number in range(count):
            if number % 1000 == 0:
                (folder / f"{number // 1000:03}").mkdir(parents=True)
            (folder / f"{number // 1000:03}" / f"{number:06}.txt").write_bytes(b"%d" % number)
        return folder
"""
COUNTED = """
    import os
    from pathlib import Path
    def run(folder: Path):
        found = {name: int((Path(parent) / name).read_bytes()) for parent, _, files in os.walk(folder) for name in files}
        return [len(found), all(name == f"{number:06}.txt" for name, number in found.items())]
"""


def test_a_folder_of_twenty_thousand_files_travels_in_bounded_memory(job):
    few, many = job.run(MANY, args=(1000,)), job.run(MANY, args=(20_000,))
    counted = [job.run(COUNTED, args=(reference(done),)) for done in (few, many)]
    assert [done.value for done in counted] == [[1000, True], [20_000, True]]
    assert many.artifact["codec"] == "directory"
    for fewer, more in ((few, many), (counted[0], counted[1])):
        growth = more.result["peak_memory_bytes"] - fewer.result["peak_memory_bytes"]
        assert growth < 10 * 1024 * 1024, "half a kilobyte a file, the step's own included"


PACKING = """
import sys, tracemalloc
from pathlib import Path
from airflow_provider_mlx.runtime.codecs import CODECS, HashingWriter
from airflow_provider_mlx.runtime.extraction import extract_tar

def save(folder, tar):
    with tar.open("wb") as sink:
        CODECS["directory"].save(folder, HashingWriter(sink))

place = Path(sys.argv[1])
save(place / "none", place / "empty")  # what is imported once does not count
extract_tar(place / "empty", place / "nothing")
for work in (lambda: save(place / "in", place / "tar"), lambda: extract_tar(place / "tar", place / "out")):
    tracemalloc.start()
    work()
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


def test_a_folder_is_packed_and_taken_out_without_an_object_for_each_file(tmp_path):
    (tmp_path / "none").mkdir()
    for number in range(5000):
        (tmp_path / f"in/{number // 500}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"in/{number // 500}/{number}").write_bytes(b"x")
    # In a process of its own: servers of other tests have threads in this one, and they allocate too.
    done = subprocess.run([sys.executable, "-c", PACKING, str(tmp_path)], capture_output=True, text=True, check=True)
    for peak in done.stdout.split():
        assert int(peak) < 5000 * 200, "bytes: two short texts a file, and what copies"


def test_a_folder_of_more_files_than_can_be_taken_out_is_refused_by_its_producer(job):
    source = MANY.replace(
        "def run",
        "from airflow_provider_mlx.runtime import codec_files\n    codec_files.MAX_DIRECTORY_FILES = 9\n    def run",
    )
    error = job.run(source, args=(9,)).error
    assert "holds 10 files and folders, more than the 9" in error["message"]
    assert "pack them into fewer files" in error["message"]
