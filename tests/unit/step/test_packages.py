"""Which of the user's own files travel: named by ``include=``, or imported by the slice."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.packages import collect_folder, collect_packages, find_local_modules

TREE = {
    "bundle/shared/__init__.py": "",
    "bundle/shared/tools.py": "from . import deep\nfrom .deep.well import water\nimport json, numpy\n",
    "bundle/shared/deep/__init__.py": "",
    "bundle/shared/deep/well.py": "from ... import nothing\nfrom ..other import X\nwater = 1\n",
    "bundle/shared/other.py": "X = 1\n",
    "bundle/shared/unused.py": "import airflow\n",
    "bundle/shared/__pycache__/x.pyc": "no",
    "bundle/shared/.hidden": "no",
    "bundle/.git/config": "no",
    "bundle/dags/dag.py": "",
    "bundle/dags/helper.py": "import shared.other\n",
    "bundle/dags/configs/a.yaml": "a: 1\n",
    "bundle/dags/lib/other.py": "",
    "bundle/dags/lib/other.pyc": "",
    "bundle/dags/json.py": "never: the standard library comes first",
    "bundle/dags/uses_airflow.py": "def f():\n    import airflow\nfrom airflow.sdk import dag\n",
    "bundle/dags/careful.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import airflow\n"
    "try:\n    import airflow\nexcept ImportError:\n    airflow = None\ndef f():\n    import airflow\n",
    "bundle/dags/broken.py": "def (:\n",
    "bundle/dags/loop_a.py": "import loop_b\n",
    "bundle/dags/loop_b.py": "import loop_a\n",
}


def _folder(root: Path) -> list[Path]:
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [root / "bundle" / "dags", root / "bundle"]


def _archive(root: Path) -> list[Path]:
    with zipfile.ZipFile(root / "all.zip", "w") as opened:
        for name, text in TREE.items():
            opened.writestr(name, text)
    return [root / "all.zip" / "bundle" / "dags", root / "all.zip" / "bundle"]


@pytest.fixture(params=[_folder, _archive], ids=["in a folder", "in a zip"])
def search(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    make: Callable[[Path], list[Path]] = request.param
    return make(tmp_path)


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        pytest.param(["configs/"], ["configs/a.yaml"], id="a folder beside the DAG file"),
        pytest.param(["lib/other.py"], ["lib/other.py"], id="a file"),
        pytest.param(["lib.other"], ["lib/other.py"], id="a module by its dotted name"),
        pytest.param(["helper"], ["helper.py"], id="a module beside the DAG file"),
        pytest.param(["./configs"], ["configs/a.yaml"], id="a path that starts with a dot"),
        pytest.param(
            ["shared"],
            ["shared/__init__.py", "shared/deep/__init__.py", "shared/deep/well.py", "shared/other.py",
             "shared/tools.py", "shared/unused.py"],
            id="a package of the bundle, without caches and hidden files",
        ),
        pytest.param(["shared.deep"], ["shared/__init__.py", "shared/deep/__init__.py", "shared/deep/well.py"],
                     id="a package in a package, with the packages above"),
        pytest.param([], [], id="nothing"),
    ],
)  # fmt: skip
def test_include_names_packages_files_and_folders(search: list[Path], include: list[str], expected: list[str]) -> None:
    assert sorted(collect_packages(include, search=search)) == expected


def test_what_is_missing_or_outside_is_refused_all_at_once(search: list[Path]) -> None:
    with pytest.raises(InvalidStep) as caught:
        collect_packages(["no_such", "../up", "/etc", "a\\b", ".", "configs"], search=search)
    assert len(caught.value.problems) == 5
    assert str(search[0]) in str(caught.value)
    assert str(search[1]) in str(caught.value)


def test_links_are_refused(tmp_path: Path) -> None:
    search = _folder(tmp_path)
    (search[0] / "configs" / "link").symlink_to("/etc/passwd")
    (search[0] / "linked_folder").symlink_to("/etc")
    with pytest.raises(InvalidStep) as caught:
        collect_packages(["configs", "linked_folder"], search=search)
    assert "`configs/link` is a link" in str(caught.value)
    assert "`linked_folder` is a link" in str(caught.value)


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        pytest.param({"numpy", "os.path"}, [], id="modules of the image are not ours"),
        pytest.param({"json"}, [], id="the standard library comes first"),
        pytest.param(
            {"helper"}, ["helper.py", "shared/__init__.py", "shared/other.py"], id="what a module imports in turn"
        ),
        pytest.param(
            {"shared.tools"},
            [
                "shared/__init__.py",
                "shared/deep/__init__.py",
                "shared/deep/well.py",
                "shared/other.py",
                "shared/tools.py",
            ],
            id="relative imports inside a package",
        ),
        pytest.param({"lib.other", "lib.other.name"}, ["lib/other.py"], id="a folder without __init__.py"),
        pytest.param({"loop_a"}, ["loop_a.py", "loop_b.py"], id="modules that import each other"),
        pytest.param({"careful"}, ["careful.py"], id="Airflow guarded, in a function, or for type checkers"),
    ],
)
def test_local_modules_travel_with_what_they_import(search: list[Path], modules: set[str], expected: list[str]) -> None:
    assert sorted(find_local_modules(modules, search)) == expected


def test_a_local_module_that_needs_airflow_is_refused_by_name(search: list[Path]) -> None:
    with pytest.raises(InvalidStep) as caught:
        find_local_modules({"uses_airflow", "shared.unused", "broken"}, search)
    message = str(caught.value)
    assert "`uses_airflow.py` imports `airflow.sdk.dag` in line 3" in message
    assert "`shared/unused.py` imports `airflow` in line 1" in message
    assert "`broken.py` is not valid Python" in message


def test_modules_that_only_annotations_need_stay_behind_where_they_cannot_travel(search: list[Path]) -> None:
    files = find_local_modules(set(), search, optional={"uses_airflow", "shared.other"})
    assert sorted(files) == ["shared/__init__.py", "shared/other.py"]


def test_a_folder_for_a_script(tmp_path: Path) -> None:
    _folder(tmp_path)
    files = collect_folder(tmp_path / "bundle" / "dags")
    assert files["configs/a.yaml"] == b"a: 1\n"
    assert not [name for name in files if name.endswith(".pyc") or name.startswith(".")]
    with pytest.raises(InvalidStep, match="does not exist"):
        collect_folder(tmp_path / "missing")
