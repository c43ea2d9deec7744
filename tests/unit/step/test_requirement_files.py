"""Requirements files beside the DAG file: what their lines become, and what is refused with file and line."""

from __future__ import annotations

import zipfile

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.requirement_files import read_requirements

HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def beside(tmp_path):
    """Writes files into the DAG file's folder and reads requirements there."""
    dags, root = tmp_path / "bundle" / "dags", tmp_path / "bundle"
    dags.mkdir(parents=True)

    def read(given, **files):
        for name, text in files.items():
            path = dags / name.replace("__", "/").replace("_txt", ".txt")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return read_requirements(given, search=(dags, root))

    read.root = root
    return read


def problems(error: pytest.ExceptionInfo[InvalidStep]) -> list[tuple[str, str]]:
    return [(problem.field, problem.what) for problem in error.value.problems]


def test_lines_stay_as_they_are(beside):
    assert beside(["pandas==2.*", "--pre"]) == ("pandas==2.*", "--pre")
    assert beside([]) == ()
    assert beside("") == ()


def test_a_file_is_read_with_its_hashes_continuations_comments_and_options(beside):
    text = (
        f"# compiled\n--only-binary :all:\npandas==2.2.3 \\\n    {HASH} \\\n    {HASH}  # via me\n\n"
        "scikit-learn[x]>=1 ; python_version > '3.8'\nb @ https://example.com/b.whl#egg=b\n"
    )
    assert beside("requirements.txt", requirements_txt=text) == (
        "--only-binary :all:",
        f"pandas==2.2.3 {HASH} {HASH}",
        "scikit-learn[x]>=1 ; python_version > '3.8'",
        "b @ https://example.com/b.whl#egg=b",
    )


def test_a_file_may_stand_among_lines_and_name_others_beside_it(beside):
    found = beside(
        ["numpy", "-r sub/more.txt", "xgboost"], sub__more_txt="--requirement=base.txt\nb\n", sub__base_txt="a\n"
    )
    assert found == ("numpy", "a", "b", "xgboost")


def test_a_file_in_the_bundles_root_or_in_a_zip_of_dags_is_found(beside, tmp_path):
    (beside.root / "all.txt").write_text("a")
    assert beside("all.txt") == ("a",)
    with zipfile.ZipFile(tmp_path / "dags.zip", "w") as archive:
        archive.writestr("sub/requirements.txt", "zipped==1\n")
    assert read_requirements("requirements.txt", search=(tmp_path / "dags.zip/sub",)) == ("zipped==1",)


def test_all_problems_come_at_once_with_file_and_line(beside):
    text = "a==1\n-e ./mine\nnot a requirement!\n-c held.txt\n./x.whl\n--unknown\n-r absent.txt\nb \\\n  @ https://me:hunter2@x/b.whl\n"
    with pytest.raises(InvalidStep) as error:
        beside("r.txt", r_txt=text)
    found = problems(error)
    assert [where for where, _ in found] == [f"r.txt:{line}" for line in (2, 3, 4, 5, 6, 7, 8)]
    said = [what for _, what in found]
    assert "`-e` has no meaning in a job" in said[0]
    assert "`not a requirement!` is no requirement" in said[1]
    assert "`./x.whl` is a path" in said[3]
    assert "there is no file `absent.txt`" in said[5]
    assert "it has a login in a URL" in said[6]
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_missing_says_how_a_package_is_written(beside):
    with pytest.raises(InvalidStep) as error:
        beside("pandas")
    assert problems(error)[0][0] == "requirements"
    assert 'requirements=["pandas"]' in error.value.problems[0].remedy


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/passwd", "sub/../../outside.txt"])
def test_a_name_that_leads_out_is_refused(beside, name):
    (beside.root.parent / "outside.txt").write_text("a")
    with pytest.raises(InvalidStep, match="leads out of the folder"):
        beside(name)


def test_a_link_is_not_followed(beside):
    (beside.root / "link.txt").symlink_to("/etc/hostname")
    with pytest.raises(InvalidStep, match=r"there is no file `link\.txt`"):
        beside("link.txt")


def test_a_circle_is_refused(beside):
    with pytest.raises(InvalidStep, match=r"b.txt:1: `a.txt` names itself"):
        beside("a.txt", a_txt="-r b.txt\n", b_txt="-r a.txt\n")
