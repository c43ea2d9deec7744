"""Requirements: files read as a job can have them, hashes for all or none, packages of codecs."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.step.requirements import hash_problems, read_requirements, with_codec_packages

COMPILED = """\
# compiled by a tool
--index-strategy unsafe-best-match
six==1.17.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
pandas==2.3.0 ; python_version >= "3.9" \\
    --hash=sha256:cc  # a comment

-r more/other.txt
"""
FILES = {"requirements.txt": COMPILED, "more/other.txt": "numpy\n--requirement=third.txt\n", "more/third.txt": "x==1\n"}


def reader(files):
    def read(path):
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read


def test_a_file_becomes_lines_with_their_places():
    found = read_requirements("requirements.txt", reader(FILES))
    assert [(line.text, line.where) for line in found] == [
        ("--index-strategy unsafe-best-match", "requirements.txt:2"),
        ("six==1.17.0 --hash=sha256:aa --hash=sha256:bb", "requirements.txt:3"),
        ('pandas==2.3.0 ; python_version >= "3.9" --hash=sha256:cc', "requirements.txt:7"),
        ("numpy", "more/other.txt:1"),
        ("x==1", "more/third.txt:1"),
    ]


def test_what_stays_behind_is_refused_all_at_once_with_file_and_line():
    files = {"r.txt": "-e ./mine\n\n-c limits.txt\n./a.whl\nb @ file:///tmp/b.whl\n-r gone.txt\n-r r.txt\n"}
    with pytest.raises(InvalidStep) as caught:
        read_requirements("r.txt", reader(files))
    text = str(caught.value)
    for words in (
        "r.txt:1: an editable install", "r.txt:3: a constraints file", "r.txt:4: `./a.whl` is a path",
        "r.txt:5: `b @ file:///tmp/b.whl` is a path", "gone.txt: it cannot be read: No such file or directory",
        "the files include each other",
    ):  # fmt: skip
        assert words in text


def test_with_one_hash_all_must_have_one():
    lines = read_requirements("requirements.txt", reader(FILES))
    assert [problem.field for problem in hash_problems(lines)] == ["more/other.txt:1", "more/third.txt:1"]
    assert hash_problems(lines[:3]) == []
    assert hash_problems(lines[3:]) == []


def test_hashed_requirements_leave_no_room_for_the_packages_of_codecs():
    artifact = ArtifactReference("memory://x", "0" * 64, 1, "npy", "numpy.ndarray", "x", "0")
    assert with_codec_packages(["six"], return_types=["pandas.DataFrame"], inputs=[artifact]) == (
        "six", "numpy", "pandas", "pyarrow",
    )  # fmt: skip
    hashed = ["six==1 --hash=sha256:aa"]
    assert with_codec_packages(hashed, return_types=["pandas.DataFrame"], inputs=[artifact]) == tuple(hashed)
