"""What the task's log shows of an output."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.runtime.codec import DATA, Codec
from airflow_provider_mlx.runtime.previews import preview, size_text
from airflow_provider_mlx.runtime.values import ArtifactReference

REFERENCE = ArtifactReference("s3://ml/a.bin", "0" * 64, 2048, "mine", "made.Up", "x", "0")


class Telling(Codec):
    """A row that tells what it is given."""

    def describe(self, value):
        return value()


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        pytest.param(lambda: ("3 rows", "a int64\nb text"), ["  3 rows", "  a int64", "  b text"], id="every line"),
        pytest.param(lambda: 1 / 0, ["  (no preview: ZeroDivisionError)"], id="a codec that fails"),
        pytest.param(lambda: ["x" * 500], ["  " + "x" * 159 + "…"], id="a long line is cut"),
        pytest.param(lambda: [str(n) for n in range(99)], [*(f"  {n}" for n in range(15)), "  …"], id="many lines are cut"),
    ],
)  # fmt: skip
def test_the_lines_of_a_preview(told, lines):
    found = preview("table", told, Telling("mine", DATA, ".bin", "home"), REFERENCE)
    assert found == ["mlx: output `table`: made.Up, 2.0 KiB as mine, s3://ml/a.bin", *lines]


@pytest.mark.parametrize(("size", "text"), [(1023, "1,023 bytes"), (1024, "1.0 KiB"), (5 * 1024**4, "5.0 TiB")])
def test_a_size_for_people(size, text):
    assert size_text(size) == text


def test_a_job_shows_what_it_keeps_and_not_what_is_inline(job):
    done = job.run("def run():\n    return 'é' * 30_000")
    assert "mlx: output `return_value`: str, 58.6 KiB as text, file://" in done.output
    assert "mlx: output" not in job.run("def run():\n    return 7").output
