"""A codec of somebody else's: a package with an entry point, proved by the contract, installed for a real job."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.runtime import codecs
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.testing import CodecContract

PACKAGE = {
    "gridlib/__init__.py": """
class Grid:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def __eq__(self, other):
        return (self.rows, self.columns) == (other.rows, other.columns)
""",
    "gridlib/codec.py": """
from airflow_provider_mlx.runtime import Codec

GRID = Codec("grid", "data", ".grid", "gridlib.codec", types=("gridlib.Grid",), packages={"*": ("gridlib",)},
             cannot={"gridlib.View": "return `view.grid()`"})

TEXT = Codec("text", "data", ".txt", "gridlib.codec", types=("str",))


def save_grid(value, sink):
    if value.rows < 0:
        raise ValueError("a grid has no negative rows: check the count")
    sink.write(f"grid {value.rows} {value.columns} end".encode())


def load_grid(path, type_name):
    from gridlib import Grid

    word, rows, columns, end = path.read_bytes().decode().split(" ")
    if (word, end) != ("grid", "end"):
        raise ValueError("it is no grid")
    return Grid(int(rows), int(columns))


def describe_grid(value):
    return [f"{value.rows} × {value.columns}"]
""",
    "gridlib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: gridlib\nVersion: 1.0\n",
    "gridlib-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "gridlib-1.0.dist-info/entry_points.txt": """
[airflow_provider_mlx.codecs]
grid = gridlib.codec:GRID
broken = gridlib.codec:NOTHING
text = gridlib.codec:TEXT
""",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "gridlib-1.0-py3-none-any.whl"
    record = "".join(f"{name},,\n" for name in PACKAGE)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**PACKAGE, "gridlib-1.0.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def installed(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The package, on this process's path."""
    folder = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    monkeypatch.syspath_prepend(str(folder))
    codecs.installed_codecs.cache_clear()
    yield
    codecs.installed_codecs.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "gridlib"]:
        del sys.modules[name]


@pytest.mark.usefixtures("installed")
class TestGrid(CodecContract):
    """As its author would write it."""

    @pytest.fixture
    def codec(self, installed):
        from gridlib.codec import GRID

        return GRID

    @pytest.fixture
    def examples(self, installed):
        from gridlib import Grid

        return {"a small one": Grid(2, 3), "an empty one": Grid(0, 0)}

    @pytest.fixture
    def refused(self, installed):
        import gridlib

        view = type("View", (), {"__module__": "gridlib"})
        return {"negative rows": gridlib.Grid(-1, 0), "a view": view()}


PRODUCE = "from gridlib import Grid\ndef run() -> Grid:\n    return Grid(2, 3)"
CONSUME = "def run(grid):\n    return [type(grid).__module__, grid.rows, grid.columns]"


def test_a_job_that_installs_the_package_uses_its_codec(job, wheel, installed, tmp_path):
    def change(context):
        context["environment"]["requirements"] = [str(wheel)]

    produced = job.run(PRODUCE, change=change)
    assert produced.status == 0, produced.output
    reference = ArtifactReference.from_wire(produced.artifact)
    assert (reference.codec, reference.type, reference.uri[-5:]) == ("grid", "gridlib.Grid", ".grid")
    assert "the codec broken (gridlib.codec:NOTHING) cannot be used: AttributeError" in produced.output
    consumed = job.run(CONSUME, args=(reference,), change=change)
    assert consumed.value == ["gridlib", 2, 3]
    here = StoredArtifact(reference, ObjectStore(), Gate((tmp_path.as_uri(),))).load()
    assert (here.rows, here.columns) == (2, 3), "a plain task, where the package is beside Airflow"


def test_a_job_without_the_package_says_so(job, wheel):
    def change(context):
        context["environment"]["requirements"] = [str(wheel)]

    reference = ArtifactReference.from_wire(job.run(PRODUCE, change=change).artifact)
    error = job.run(CONSUME, args=(reference,)).error
    assert (error["reason"], "'grid', which is not known here" in error["message"]) == ("ArtifactError", True)


def test_a_row_of_ours_cannot_be_replaced(installed):
    assert "text" not in codecs.installed_codecs()
    assert codecs.codec_named("text").home == "codec_files"
    assert codecs.codec_for_type_name("gridlib.Grid").name == "grid"
    assert codecs.way_out_of_type_name("gridlib.View") == "return `view.grid()`"
