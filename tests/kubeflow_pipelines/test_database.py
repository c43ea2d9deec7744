"""Several databases beside each other, as the workers of one pytest have them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.network import free_ports
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until
from tests.kubeflow_pipelines.database import PROCESS, start_database

if TYPE_CHECKING:
    import pytest


def test_a_database_that_starts_removed_the_temporary_table_of_another_which_then_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    monkeypatch.setenv("TMPDIR", str(everybodys))
    in_use = everybodys / "#sql-temptable-7bd9-8-d6.MAI"
    in_use.touch()
    processes = Processes(tmp_path)
    try:
        start_database(processes, tmp_path, *free_ports("127.0.0.1", 1))
        wait_until("MariaDB", lambda: "ready for connections" in processes.end_of_log(PROCESS))
    finally:
        processes.stop([PROCESS], number=signal.SIGKILL)
    assert in_use.exists()
