"""Jobs in an environment with the real PyTorch; every node of a gang is a supervisor on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runtime.conftest import Job
from tests.unit.runtime.nodes import Gang

TORCH = Path(__file__).parents[2] / ".build" / "torch" / "bin" / "python"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    assert TORCH.exists(), "run `make .build/torch/.ready` first"
    # torch's own cache would stay in the temporary folder
    made = Job(tmp_path, python=str(TORCH), env={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")})
    yield made
    left = [entry.name for entry in made.scratch.iterdir()]
    assert left == [], "a job must leave nothing in the temporary folder"


@pytest.fixture
def gang(job: Job) -> Iterator[Gang]:
    made = Gang(job, launcher="torchrun")
    yield made
    made.end()
