"""
Every codec on every way that a value takes: step → step, step → plain task, plain task → step; on a file system and on
S3. Jobs are real and run with the real frameworks; the plain task is this process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact, read_reference
from airflow_provider_mlx.artifacts.saving import save_value
from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.codecs import CODECS, DATA, MODEL
from tests.codecs.groups import SAME_VALUES, values_file, values_of

PRODUCE = """
    from typing import Annotated
    from airflow_provider_mlx import Model
    from value import make
    def run() -> {annotation}:
        return make()
"""
CONSUME = """
    from importlib.metadata import version
    from pathlib import Path
    import value
    def run(from_a_step, from_a_task, as_a_file: Path, packages):
        for got in (from_a_step, from_a_task):
            made = value.make()
            value.same(made, got) if hasattr(value, "same") else None
            assert hasattr(value, "same") or (type(got) is type(made) and got == made), (made, got)
        assert as_a_file.exists()
        return {name: version(name) for name in packages}
"""

WAYS = {
    DATA: {"step → step": "loaded", "step → plain task": "loaded", "plain task → step": "saved, loaded"},
    MODEL: {"step → step": "loaded", "step → plain task": "the file", "plain task → step": "the reference, loaded"},
}
"""What :func:`travel` has seen when it ends well, by the codec's class."""


def test_a_value_goes_every_way_on_every_store(codec_name, places, job, plain_task, record_property):
    travels = [travel(codec_name, place, job) for place in places]
    digests = {travel.digest for travel in travels}
    assert len(digests) == 1, "the same value is the same bytes, whichever process writes it"
    record_property("codec", codec_name)
    record_property("ways", travels[0].ways)
    record_property("packages", travels[0].packages)


@dataclass
class Travel:
    """What became of one value, and with which packages."""

    digest: str
    ways: dict[str, str]
    packages: dict[str, str]


def travel(codec_name, place, job) -> Travel:
    row, source = CODECS[codec_name], values_file(codec_name).read_text()
    annotation = "Annotated[object, Model('m')]" if codec_name in SAME_VALUES else "object"
    produced = run(job, place, "produced", {"value.py": source, "step.py": PRODUCE.format(annotation=annotation)})
    reference = read_reference(produced["artifact"])
    assert reference.codec == codec_name

    artifact, folder = StoredArtifact(reference, place.store, place.gate), place.root.partition(":")[0]
    if row.kind == MODEL:
        with pytest.raises(ArtifactError, match="do not load models"):
            artifact.load()
        assert artifact.path(Path(folder)).stat().st_size == reference.size
        handed_on = json.loads(json.dumps(produced["artifact"]))  # as XCom has it
    else:
        values = values_of(codec_name)
        same(values, artifact.load())
        handed_on = saved_by_a_plain_task(values.make(), place)

    told = run(
        job, place, "consumed", {"value.py": source, "step.py": CONSUME},
        args=(reference, read_reference(handed_on), reference, distributions(row.packages_of(reference.type))),
    )  # fmt: skip
    return Travel(reference.sha256, WAYS[row.kind], told["value"])


def run(job, place, attempt: str, files: dict[str, str], **options: Any) -> dict[str, Any]:
    """A job's return value, as its ``result.json`` has it."""
    done = job.run(files, change=place.of_job(attempt), **options)
    assert done.status == 0, done.output
    return place.result(attempt)["outputs"]["return_value"]


def same(values, got) -> None:
    made = values.make()
    if hasattr(values, "same"):
        values.same(made, got)
    else:
        assert type(got) is type(made)
        assert got == made


def saved_by_a_plain_task(value: Any, place) -> dict[str, Any]:
    """What XCom has after a plain task saved a value."""
    return save_value(value, "saved", store=place.store, folder=f"{place.root}/plain", producer={}).to_wire()


def distributions(packages: tuple[str, ...]) -> list[str]:
    """Under which name the Makefile's environments have a package."""
    import sys

    lean = {"xgboost": "xgboost-cpu"} if sys.platform == "linux" else {}
    return [lean.get(name, name) for name in packages]
