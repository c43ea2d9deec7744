"""What clusters change on the whole machine is as it was when the last has ended, in whatever order they come and go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster import sysctls
from tests.cluster.network import Place

BEFORE = {"vm/overcommit_memory": "0", "kernel/panic": "0", "kernel/panic_on_oops": "0", sysctls.INOTIFY: "128"}


@pytest.fixture
def proc_sys(tmp_path: Path) -> Path:
    """Files as the kernel has them."""
    for name, value in BEFORE.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    return tmp_path / "sys"


def now(proc_sys: Path) -> dict[str, str]:
    return {name: (proc_sys / name).read_text() for name in BEFORE}


def start_kubelet(proc_sys: Path) -> None:
    for name in sysctls.SET_BY_KUBELET:
        (proc_sys / name).write_text("1")


def test_the_second_cluster_does_not_take_what_the_first_has_changed_for_what_was_there(
    proc_sys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(sysctls, "PLACES", ())  # whether the machine has other clusters is not this test's
    for _ in ("first", "second"):
        sysctls.keep_sysctls(kept, proc_sys)
        start_kubelet(proc_sys)
    assert json.loads(kept.read_text()) == BEFORE
    assert int(now(proc_sys)[sysctls.INOTIFY]) > 128
    sysctls.restore_sysctls(kept, proc_sys)
    assert now(proc_sys) == BEFORE
    assert not kept.exists()


def test_nothing_is_restored_while_another_cluster_has_nodes_up(
    proc_sys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken(Place):
        is_taken = True

    monkeypatch.setattr(sysctls, "PLACES", (Taken(1),))
    kept = tmp_path / "kept.json"
    sysctls.keep_sysctls(kept, proc_sys)
    start_kubelet(proc_sys)
    sysctls.restore_sysctls(kept, proc_sys)
    assert now(proc_sys)["kernel/panic"] == "1"
    assert kept.exists()
