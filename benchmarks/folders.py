"""A folder of many files through two steps: throughput and peak memory, beside ``tar`` and ZenML."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .jobs import there_and_back
from .peers import ZENML_ENV, ZENML_PYTHON, ZENML_STORE, Peer
from .report import compare, turns

FILES, FILE_BYTES = 100_000, 20 * 1024

_FOLDER = f"""
import os
from pathlib import Path

def make(files: int) -> Path:
    for number in range(files):
        folder = Path("many", f"{{number // 1000:04}}")
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{{number:07}}.bin").write_bytes(os.urandom({FILE_BYTES}))  # nothing for a peer to compress
    return Path("many")

def use(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
"""

PEERS = (
    # Neither hashed nor checked: what the same disk gives.
    Peer(
        "tar",
        """
import subprocess
WHO = resource.RUSAGE_CHILDREN
def save(value):
    subprocess.run(["tar", "-cf", folder / "folder.tar", "-C", value, "."], check=True)
def load():
    (folder / "back").mkdir()
    subprocess.run(["tar", "-xf", folder / "folder.tar", "-C", folder / "back"], check=True)
    return folder / "back"
""",
    ),
    Peer(
        "ZenML",
        ZENML_STORE
        + """
from zenml.materializers.path_materializer import PathMaterializer
materializer = PathMaterializer(str(folder / "artifact"), artifact_store=store)
def save(value):
    materializer.save(value)
def load():
    return materializer.load(Path)
""",
        python=str(ZENML_PYTHON.absolute()), env={**ZENML_ENV, "TMPDIR": "{folder}"},
    ),
)  # fmt: skip


def run(work: Path, *, runs: int) -> None:
    """Measure two gigabytes in a hundred thousand files."""
    mebibytes = FILES * FILE_BYTES / 2**20
    ours = turns(partial(there_and_back, work / "ours", _FOLDER, FILES), work / "ours", runs)
    for peer in PEERS:
        if peer.here:
            theirs = turns(partial(peer.there_and_back, work / "peer", _FOLDER, FILES), work / "peer", runs)
            compare(f"{FILES} files of {FILE_BYTES // 1024} KiB", mebibytes, ours, peer.name, theirs)
