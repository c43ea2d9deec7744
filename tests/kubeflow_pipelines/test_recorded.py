"""What is recorded is what a server says: a difference is shown, and ``MLX_ACCEPT_GOLDEN=1`` records it anew."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.fixtures import needed
from tests.golden import assert_golden
from tests.kubeflow_pipelines.recording import recordings
from tests.kubeflow_pipelines.server import running_server

RECORDED = Path(__file__).parent / "recorded"


def test_answers_are_as_they_were_recorded(tmp_path: Path) -> None:
    with needed(), running_server(tmp_path / "state") as server:
        names = set()
        for name, recorded in recordings(server):
            assert_golden(RECORDED / f"{name}.json", recorded)
            names.add(f"{name}.json")
    assert names == {path.name for path in RECORDED.glob("*.json")}
