"""
Crafted model files: what skops would build from the types that we trust, and what is refused.

One process loads them all, as a job does, under an audit hook that sees every file, process, connection and `exec`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.codec_parts import at_least
from airflow_provider_mlx.runtime.refusals import ArtifactError

LOADER = Path(__file__).with_name("load_models.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """By the case's name: what was said, and what the audit hook saw."""
    folder = tmp_path_factory.mktemp("models")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, str(LOADER), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert not (folder / "ran").exists()
    return json.loads(done.stdout.splitlines()[-1])


def test_the_hook_sees_what_it_should(told):
    """The control: a file that is read, a process, and the same crafted file where its types are trusted blindly."""
    assert told["control: open"]["events"] == ["open"]
    assert told["control: process"]["events"]
    assert told["control: trusted blindly"]["events"] == ["open"]


def test_a_good_model_is_loaded_and_reads_no_other_file(told):
    assert told["good"] == {"said": "loaded", "events": []}


def test_no_crafted_file_of_other_types_is_loaded(told):
    refused = {name: case for name, case in told.items() if name.startswith("other: ")}
    assert len(refused) >= 15
    assert [
        (name, case) for name, case in refused.items() if not case["said"].startswith("ArtifactError") or case["events"]
    ] == []


def test_no_trusted_type_does_anything_when_it_is_built(told):
    """Every type of the table, by each of skops' ways to build an object, with what an attacker would give it."""
    built = {name: case for name, case in told.items() if name.startswith("trusted: ")}
    assert len(built) >= 300
    assert [(name, case) for name, case in built.items() if case["events"]] == []
    assert sum(case["said"] == "loaded" for case in built.values()) >= 50, "the control: many are built"


@pytest.mark.parametrize(
    ("found", "may"), [("0.12.0", False), ("0.13", True), ("0.13.1", True), ("1.0.dev1", True), ("0.9", False)]
)
def test_an_old_reader_is_refused(found, may):
    """skops below 0.13 runs code from files of trusted types: CVE-2025-54412, CVE-2025-54413."""
    from types import SimpleNamespace

    package = SimpleNamespace(__name__="skops", __version__=found)
    if may:
        return at_least(package, (0, 13), "is old")
    with pytest.raises(ArtifactError, match="nothing was loaded"):
        at_least(package, (0, 13), "is old")
    return None
