"""From function objects and files to slices, and the slicer on DAG files that others wrote."""

from __future__ import annotations

import ast
import functools
import importlib.util
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step import source as source_module
from airflow_provider_mlx.step.slicing import slice_function
from airflow_provider_mlx.step.source import locate, read_source, slice_callable

DAG_FILE = "import functools\nLIMIT = 3\ndef plain(f): return f\n@plain\ndef step(): return LIMIT\n"


def load(path: Path, text: str, name: str = "dag_file_under_test") -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_function_object_is_sliced_from_its_file(tmp_path: Path) -> None:
    module = load(tmp_path / "team" / "dag.py", DAG_FILE)
    sliced = slice_callable(module.step, bundle_root=str(tmp_path))
    assert "LIMIT = 3" in sliced.text
    assert sliced.origin == "team/dag.py"
    assert slice_callable(module.step, bundle_root=None).origin == "dag.py"
    assert slice_callable(module.step, bundle_root=str(tmp_path / "elsewhere")).origin == "dag.py"


def test_the_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "dag.py"
    module = load(path, DAG_FILE)
    assert "LIMIT = 3" in slice_callable(module.step).text
    path.write_text(DAG_FILE.replace("LIMIT = 3", "LIMIT = 44"))
    assert "LIMIT = 44" in slice_callable(module.step).text


def test_the_file_is_read_once_while_it_does_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(tmp_path / "dag.py", DAG_FILE)
    reads: list[str] = []
    real = source_module.read_source
    monkeypatch.setattr(source_module, "read_source", lambda path: reads.append(path) or real(path))
    for _ in range(3):
        slice_callable(module.step)
    assert len(reads) == 1


def test_below_functools_wraps_lies_the_function(tmp_path: Path) -> None:
    text = "import functools\ndef wrap(f):\n    @functools.wraps(f)\n    def inner(): return f()\n    return inner\n"
    module = load(tmp_path / "dag.py", f"{text}@wrap\ndef step(): return 1\n")
    assert locate(module.step).first_line == 6
    assert slice_callable(module.step).function == "step"


def test_relative_imports_of_a_module_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "local_package_under_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "values.py").write_text("X = 5\n")
    (package / "steps.py").write_text("from .values import X\ndef step(): return X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    steps = importlib.import_module("local_package_under_test.steps")
    sliced = slice_callable(steps.step)
    assert sliced.relative_imports == ("local_package_under_test.values",)
    scope: dict[str, Any] = {}
    exec(sliced.text, scope)
    assert scope["step"]() == 5


class Callable:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


def made_by_exec() -> Any:
    scope: dict[str, Any] = {}
    exec("def step(): ...", scope)
    return scope["step"]


@pytest.mark.parametrize(
    ("function", "word"),
    [
        pytest.param(lambda: 1, "lambda", id="a lambda"),
        pytest.param(functools.partial(print, 1), "a partial of `print`", id="a partial"),
        pytest.param(Callable(), "object of class `Callable`", id="a callable object"),
        pytest.param(Callable().method, "method", id="a bound method"),
        pytest.param(Callable, "is a class", id="a class"),
        pytest.param(len, "builtin", id="a builtin"),
        pytest.param(made_by_exec(), "made by exec", id="a function made by exec"),
    ],
)
def test_what_has_no_def_is_refused_with_the_way_out(function: Any, word: str) -> None:
    with pytest.raises(InvalidStep, match=word) as caught:
        slice_callable(function)
    assert caught.value.remedy


def test_encodings_and_line_ends_are_pythons(tmp_path: Path) -> None:
    path = tmp_path / "dag.py"
    path.write_bytes("# coding: latin-1\r\nX = 'é'\r\n".encode("latin-1"))
    assert read_source(str(path)) == "# coding: latin-1\nX = 'é'\n"
    path.write_bytes(b"\xef\xbb\xbfX = 1\n")
    assert read_source(str(path)).lstrip("\ufeff") == "X = 1\n"


def test_a_dag_file_inside_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "dags.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("sub/dag.py", DAG_FILE)
    path = str(archive / "sub" / "dag.py")
    assert read_source(path) == DAG_FILE
    scope: dict[str, Any] = {}
    exec(compile(DAG_FILE, path, "exec"), scope)
    sliced = slice_callable(scope["step"], bundle_root=str(tmp_path))
    assert sliced.origin == "dags.zip/sub/dag.py"
    assert "LIMIT = 3" in sliced.text


@pytest.mark.parametrize(
    ("data", "word"),
    [(None, "cannot be read"), (b"X = '\xff'\n", "encoding"), (b"# coding: nonsense\n", "encoding")],
    ids=["missing", "not UTF-8", "an unknown encoding"],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, data: bytes | None, word: str) -> None:
    path = tmp_path / "dag.py"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidStep, match=word):
        read_source(str(path))


def test_a_member_missing_from_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "dags.zip", "w") as opened:
        opened.writestr("a.py", "")
    with pytest.raises(InvalidStep, match="cannot be read"):
        read_source(str(tmp_path / "dags.zip" / "b.py"))


# --- DAG files that others wrote -------------------------------------------------------------------------------------


def example_files() -> list[Path]:
    spec = importlib.util.find_spec("airflow")  # of `airflow.example_dags` it would import Airflow
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return sorted(file for folder in folders for file in (Path(folder) / "example_dags").rglob("*.py"))


def task_functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f for f in functions if any(ast.unparse(d).startswith("task") and "task_group" not in ast.unparse(d)
                                        for d in f.decorator_list)]  # fmt: skip


def test_airflows_own_example_dags(capsys: pytest.CaptureFixture[str]) -> None:
    files = example_files()
    if not files:
        pytest.fail("Airflow's example DAGs are not where they were")
    sliced, refused = [], []
    for file in files:
        text = read_source(str(file))
        for function in task_functions(ast.parse(text)):
            first_line = min(d.lineno for d in function.decorator_list)
            place = f"{file.name}:{first_line} {function.name}"
            try:
                result = slice_function(text, filename=str(file), qualname=function.name, first_line=first_line)
            except InvalidStep as error:
                refused.append((place, [problem.what for problem in error.problems]))
            else:
                compile(result.text, place, "exec")
                sliced.append(place)
    total = len(sliced) + len(refused)
    with capsys.disabled():
        print(f"\n  example DAGs: {len(sliced)} of {total} task functions sliced ({len(sliced) / total:.0%})")
    assert all(words for _, words in refused)
    assert total > 50
    assert len(sliced) / total > 0.7
    unexplained = [(p, w) for p, words in refused for w in words if "Airflow" not in w and "generator" not in w]
    assert not unexplained


def test_every_function_of_the_standard_library_is_sliced_or_refused() -> None:
    """Code that nobody wrote for us: no exception but ``InvalidStep``, and what is sliced compiles."""
    sliced = 0
    for name in ("dataclasses", "statistics", "textwrap", "functools", "heapq"):
        file = Path(str(importlib.util.find_spec(name).origin))  # type: ignore[union-attr]
        text = read_source(str(file))
        for function in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)):
            first_line = min([function.lineno, *(d.lineno for d in function.decorator_list)])
            try:
                result = slice_function(text, filename=name, qualname=function.name, first_line=first_line)
            except InvalidStep:
                continue
            compile(result.text, name, "exec")
            sliced += 1
    assert sliced > 100


def test_ten_steps_are_sliced_in_parse_time() -> None:
    steps = "".join(f"@task.mlx\ndef step{i}(a, b=LIMIT):\n    return helper(a) + {i}\n" for i in range(10))
    filler = "".join(f"def unused{i}(x):\n    y = [x for x in range({i})]\n    return y\n" for i in range(50))
    text = f"from airflow.sdk import task\nLIMIT = 1\ndef helper(x): return x\n{filler}{steps}"
    lines = [i for i, line in enumerate(text.split("\n"), 1) if line == "@task.mlx"]
    start = time.perf_counter()
    for i, line in enumerate(lines):
        slice_function(text, filename="d.py", qualname=f"step{i}", first_line=line)
    seconds = time.perf_counter() - start
    assert seconds < 0.5, "ten steps took over half a second; about 15 ms are expected"


def test_slicing_imports_nothing_of_airflow() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_mlx.step import bundle, packages, source\n"
        "heavy = {'airflow', 'pydantic', 'yaml', 'httpx', 'libcst'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
