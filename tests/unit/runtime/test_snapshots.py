"""Snapshots of a folder, their writers and what a late one of them can do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.checkpoints import (
    KEEP,
    PATIENCE_SECONDS,
    REST_SECONDS,
    FolderWriter,
    read_stored,
    restore,
)
from airflow_provider_mlx.runtime.refusals import ArtifactError
from airflow_provider_mlx.runtime.snapshots import Snapshots
from airflow_provider_mlx.runtime.store import Store

NAME = "since-1"


class Step:
    """One attempt with its folder, and who looks after it; all attempts share a store."""

    def __init__(self, place: Path, attempt: int, *, name: str = "", objects: Store | None = None) -> None:
        self.objects = objects or Store()
        self.uri = (place / "store").as_uri()
        self.area = place / f"work-{attempt}{name}"
        self.said: list[str] = []
        self.folder = restore(self.area, NAME, self.objects, self.uri, self.said.append)
        self.snapshots = Snapshots(self.objects, f"{self.uri}/{NAME}")
        self.writer = FolderWriter(
            self.folder, self.snapshots, attempt, self.said.append, read_stored(self.area, NAME)
        )  # fmt: skip
        self.now = 0.0

    def write(self, **files: str) -> Step:
        """As a careful step does: complete files, by rename. Their names are without suffixes."""
        for name, text in files.items():
            draft = self.folder.parent / "draft"
            draft.write_text(text)
            os.utime(draft, ns=(1, self.objects_written()))
            draft.replace(self.folder / name)
        return self

    def objects_written(self) -> int:
        Step.clock += 1
        return Step.clock

    clock = 10**9

    def look(self, **options: bool) -> bool:
        self.now += REST_SECONDS
        return self.writer.look(self.now, **options)

    @property
    def content(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def attempt(tmp_path):
    return lambda number=1, **options: Step(tmp_path, number, **options)


def stored(place: Path, folder: str) -> list[str]:
    return sorted(path.relative_to(place / "store" / NAME / folder).as_posix()
                  for path in (place / "store" / NAME / folder).rglob("*") if path.is_file())  # fmt: skip


def test_the_next_attempt_finds_what_was_stored_last(attempt):
    first = attempt(1)
    assert first.content == {}
    assert first.write(model="1", optimizer="a").look()
    assert first.write(model="2").look()
    second = attempt(2)
    assert second.content == {"model": "2", "optimizer": "a"}
    assert "restored the checkpoint of attempt 1 (2 files, 2 bytes)" in second.said[0]
    assert (second.folder / "model").stat().st_mtime_ns == (first.folder / "model").stat().st_mtime_ns


def test_what_has_not_changed_is_not_uploaded_again_even_under_another_name(attempt, tmp_path):
    step = attempt()
    step.write(frozen="x" * 1000, model="1").look()
    (step.folder / "model").rename(step.folder / "model-old")
    step.write(model="2").look()
    assert len(stored(tmp_path, "objects")) == 3, "frozen, the first model, the second one"
    assert attempt(2).content == {"frozen": "x" * 1000, "model-old": "1", "model": "2"}


def test_nothing_is_stored_while_nothing_changes(attempt, tmp_path):
    step = attempt()
    step.write(model="1").look()
    assert step.look()
    assert step.look(force=True)
    second = attempt(2)
    assert second.look()
    assert len(stored(tmp_path, "snapshots")) == 1, "what was restored is no change"


def test_a_file_that_is_being_written_is_waited_for(attempt, tmp_path):
    step = attempt()
    with (step.folder / "model").open("w", buffering=1) as sink:
        for _ in range(3):
            sink.write("half a model\n")
            assert not step.look()
        assert not (tmp_path / "store").exists()
    assert step.look(), "it has not changed since the look before"


def test_a_file_that_was_renamed_into_place_is_complete_at_once(attempt):
    step = attempt()
    assert step.write(model="1").look()


def test_a_log_that_grows_all_the_time_does_not_keep_the_model_from_being_stored(attempt):
    step = attempt()

    def goes_on():
        with (step.folder / "log").open("a") as log:
            log.write("more\n")

    step.write(model="1")
    for _ in range(int(PATIENCE_SECONDS / REST_SECONDS)):
        goes_on()
        assert not step.look()
    goes_on()
    assert step.look(), "with the log as it stood at that moment"
    assert attempt(2).content["model"] == "1"


def test_a_file_that_changes_while_it_is_stored_is_kept_as_it_was_before(attempt, monkeypatch):
    step = attempt()
    step.write(model="1", log="a").look()
    upload = step.snapshots.upload

    def meanwhile(path, name):
        upload(path, name)
        if path.name == "log":
            step.write(log="changed once more")

    monkeypatch.setattr(step.snapshots, "upload", meanwhile)
    step.write(model="2", log="b")
    assert not step.look(), "not all of it is at rest"
    assert not step.write(log="c").look(force=True)
    assert attempt(2).content == {"model": "2", "log": "a"}
    monkeypatch.undo()
    assert step.look(force=True)
    assert attempt(3).content == {"model": "2", "log": "changed once more"}


def test_a_folder_that_was_emptied_leaves_the_checkpoint_before(attempt):
    step = attempt()
    step.write(model="1").look()
    (step.folder / "model").unlink()
    assert step.look(force=True)
    assert attempt(2).content == {"model": "1"}


def test_links_and_what_lies_behind_them_are_not_stored(attempt, tmp_path):
    step = attempt()
    (tmp_path / "secret").write_text("s")
    (step.folder / "link").symlink_to(tmp_path / "secret")
    (step.folder / "folder").symlink_to(tmp_path)
    step.write(model="1").look()
    assert attempt(2).content == {"model": "1"}


def test_old_snapshots_go_with_what_only_they_need(attempt, tmp_path):
    step = attempt()
    step.write(frozen="f")
    for epoch in range(5):
        step.write(model=str(epoch)).look()
    assert len(stored(tmp_path, "snapshots")) == KEEP
    assert len(stored(tmp_path, "objects")) == KEEP + 1
    assert attempt(2).content == {"frozen": "f", "model": "4"}


def test_a_job_that_may_not_remove_keeps_more_and_says_so_once(attempt, tmp_path):
    class CannotRemove(Store):
        def delete(self, uri):
            raise ArtifactError(f"the job may not remove {uri}")

    step = attempt(objects=CannotRemove())
    for epoch in range(5):
        assert step.write(model=str(epoch)).look()
    assert len(stored(tmp_path, "snapshots")) == 5
    assert len([line for line in step.said if "may not remove" in line]) == 1


# --- damage -----------------------------------------------------------------------------------------------------------


def newest(place: Path) -> Path:
    return sorted((place / "store" / NAME / "snapshots").iterdir())[-1]


def without_its_object(place: Path) -> None:
    entry = json.loads(newest(place).read_text())["files"][0]
    (place / "store" / NAME / "objects" / entry["object"]).unlink()


def with_another_byte(place: Path) -> None:
    entry = json.loads(newest(place).read_text())["files"][0]
    (place / "store" / NAME / "objects" / entry["object"]).write_text("!")


def cut(place: Path) -> None:
    newest(place).write_text(newest(place).read_text()[:40])


def of_another_format(place: Path) -> None:
    newest(place).write_text(newest(place).read_text().replace('"snapshot": 1', '"snapshot": 2'))


@pytest.mark.parametrize("damage", [without_its_object, with_another_byte, cut, of_another_format])
def test_a_damaged_snapshot_is_passed_over_for_the_one_before(attempt, tmp_path, damage):
    step = attempt()
    step.write(model="1").look()
    step.write(model="2").look()
    damage(tmp_path)
    second = attempt(2)
    assert second.content == {"model": "1"}
    assert "cannot be restored, trying the one before" in second.said[0]


def test_objects_without_a_manifest_are_no_snapshot(attempt, tmp_path):
    step = attempt()
    step.write(model="1").look()
    step.write(model="2").look()
    newest(tmp_path).unlink()  # as if the job had been killed just before it wrote this
    assert attempt(2).content == {"model": "1"}


def test_if_none_can_be_restored_the_step_does_not_silently_start_anew(attempt, tmp_path):
    attempt().write(model="1").look()
    with_another_byte(tmp_path)
    with pytest.raises(ArtifactError, match="none of the 1 checkpoints") as refused:
        attempt(2)
    assert "clear the task" in refused.value.remedy
    assert not (tmp_path / "work-2" / NAME).exists()


def test_no_answer_is_not_taken_for_no_checkpoint(attempt, tmp_path):
    class Refuses(Store):
        def read_into(self, uri, sink):
            raise ArtifactError(f"the job may not read {uri}") from PermissionError("403")

    attempt().write(model="1").look()
    with pytest.raises(ArtifactError, match="may not read"):
        attempt(2, objects=Refuses())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("path", "../../outside", id="a path that leads out of the folder"),
        pytest.param("path", "/etc/cron.d/x", id="an absolute path"),
        pytest.param("object", "../../../runs/other/secret", id="an object that is no checkpoint's"),
    ],
)
def test_a_forged_manifest_reads_and_writes_nothing_elsewhere(attempt, tmp_path, key, value):
    attempt().write(model="1").look()
    path = newest(tmp_path)
    body = json.loads(path.read_text())
    body["files"][0][key] = value
    path.write_text(json.dumps(body))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArtifactError, match=r"it names .* as "):
        attempt(2)
    assert [path for path in tmp_path.rglob("*") if path not in before] == [tmp_path / "work-2"]


# --- two writers ------------------------------------------------------------------------------------------------------


def test_a_frozen_attempt_that_wakes_up_changes_nothing_for_the_later_ones(attempt):
    frozen = attempt(1)
    for epoch in range(3):
        frozen.write(model=f"first {epoch}").look()
    second = attempt(2)
    for epoch in range(3):
        second.write(model=f"second {epoch}").look()
        frozen.write(model=f"woke up {epoch}").look()
    assert frozen.writer.superseded
    assert not frozen.write(model="still there").look()
    assert attempt(3).content == {"model": "second 2"}


def test_a_frozen_attempt_that_wakes_up_before_the_later_one_stored_takes_nothing_away(attempt):
    frozen = attempt(1)
    frozen.write(data="large", model="1").look()
    second = attempt(2)
    for epoch in range(5):  # it removes all that the second attempt was restored from
        frozen.write(data=f"other {epoch}", model=f"woke up {epoch}").look()
    second.write(model="second").look()
    assert attempt(3).content == {"data": "large", "model": "second"}, "of its own objects alone"


def test_two_processes_of_one_attempt_take_nothing_from_each_other(attempt):
    """A lost node may run an attempt twice."""
    one, other = attempt(1, name="a"), attempt(1, name="b")
    for epoch in range(4):
        one.write(data="one", model=f"one {epoch}").look()
        other.write(data="other", model=f"other {epoch}").look()
    for name in one.snapshots.names():
        folder = one.area / str(name)
        one.snapshots._fetch(name, folder)
        assert len({(folder / file).read_text().split()[0] for file in ("data", "model")}) == 1, "no mixture"


@pytest.mark.parametrize("late", [(1, "b"), (2, "")], ids=["of the same attempt", "of a later one"])
def test_what_another_writer_has_uploaded_and_not_named_yet_is_not_removed(attempt, monkeypatch, late):
    other, slow = attempt(1, name="a"), attempt(late[0], name=late[1])
    upload = slow.snapshots.upload

    def and_then_the_other_cleans_up(*arguments):
        upload(*arguments)
        for epoch in range(4):
            other.write(model=f"other {epoch}").look()

    monkeypatch.setattr(slow.snapshots, "upload", and_then_the_other_cleans_up)
    slow.write(model="slow").look()
    name = next(name for name in slow.snapshots.names() if name.writer == slow.writer._writer)
    slow.snapshots._fetch(name, slow.area / "fetched")
    assert (slow.area / "fetched/model").read_text() == "slow"


def test_a_later_attempt_removes_what_the_earlier_ones_left(attempt, tmp_path):
    attempt(1).write(model="1").look()
    second = attempt(2)
    for epoch in range(3):
        second.write(model=f"second {epoch}").look()
    assert {name.split("-")[0] for name in stored(tmp_path, "objects")} == {"000002"}
