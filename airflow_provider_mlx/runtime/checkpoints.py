"""
The checkpoint folders of a job whose store is not a folder of it: restored when first asked for, stored while it runs.

::

    <area>/since-1/…          the folder that the step writes to
    <area>/since-1.json       what of it is stored already
    <area>/since-1.sync       the step wants it stored now: a word
    <area>/since-1.synced     that word, and how it went

The step's process restores; another one stores (the job's supervisor, or on ``local`` the worker), so that a step
that is killed loses nothing that it had finished writing, and a step that computes is not held up.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, NamedTuple  # noqa: UP035  (Python 3.9)

from .protocol import CHECKPOINTS_FOLDER
from .snapshots import Damaged, Name, Objects, Say, Snapshots, StoredFile, digest_of, owner
from .uris import join

if TYPE_CHECKING:
    from .protocol import StepContext

KEEP = 2
"""Snapshots that stay: the newest may be one of a state that the step cannot go on from."""

REST_SECONDS = 2.0
"""A file that has not changed for so long is complete."""

PATIENCE_SECONDS = 10.0
"""After so long in which the folder was never at rest, what can be stored is stored: a log may grow all the time."""

_TICK_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 60.0


class Stamp(NamedTuple):
    """What tells that a file was not written to since. A file that is renamed keeps its stamp."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp in an answer of ``stat``."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Seen(NamedTuple):
    """
    A file at one look.

    :param renamed: it got its name after it was last written (rename(2) sets ctime only): it is complete.
    """

    stamp: Stamp
    renamed: bool


def scan(folder: Path) -> dict[str, Seen]:
    """The files below a folder by their relative paths; links are left out."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                seen = Seen(Stamp.of(status), status.st_ctime_ns > status.st_mtime_ns)
                found[path.relative_to(folder).as_posix()] = seen
    return found


def restore(area: Path, name: str, objects: Objects, uri: str, say: Say) -> Path:
    """
    Make a checkpoint folder, as its newest snapshot has it.

    :raises ArtifactError: there are snapshots, and none can be restored.
    """
    area.mkdir(parents=True, exist_ok=True)
    lock = os.open(area, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the ranks of a node share the area
        return _restore(area, name, Snapshots(objects, join(uri, name)), say)
    finally:
        os.close(lock)


def _restore(area: Path, name: str, snapshots: Snapshots, say: Say) -> Path:
    folder, draft = area / name, area / f".{name}.{os.urandom(4).hex()}"
    if folder.is_dir():
        return folder
    started = time.monotonic()
    found = snapshots.restore(draft, say)
    if found is None:
        draft.mkdir()
    else:
        files = scan(draft)
        size = sum(file.stamp.size for file in files.values())
        say(
            f"restored the checkpoint of attempt {found.attempt} ({len(files)} files, {size} bytes) in "
            f"{time.monotonic() - started:.1f} s"
        )
        write_stored(area, name, {path: file.stamp for path, file in files.items()})
    draft.rename(folder)
    return folder


def read_stored(area: Path, name: str) -> dict[str, Stamp]:
    """What of a folder is stored, as :func:`write_stored` wrote it last."""
    try:
        known = json.loads((area / f"{name}.json").read_bytes())
        return {str(path): Stamp(*map(int, stamp)) for path, stamp in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_stored(area: Path, name: str, stamps: Mapping[str, Stamp]) -> None:
    """Remember what is stored, for whoever looks after the folder next."""
    _replace(area / f"{name}.json", json.dumps(stamps))


def ask_for_sync(area: Path, name: str, seconds: float) -> bool:
    """Ask whoever looks after a folder to store it now, and wait; whether all of it is stored."""
    word, until = os.urandom(4).hex(), time.monotonic() + seconds
    _replace(area / f"{name}.sync", word)
    while time.monotonic() < until:
        asked, _, answer = _text(area / f"{name}.synced").partition(" ")
        if asked == word:
            return answer == "stored"
        time.sleep(_TICK_SECONDS / 4)
    return False


class FolderWriter:
    """
    Stores one folder whenever it has changed and is at rest.

    :param attempt: of the job whose folder it is.
    :param stored: what is in the store already, though in another writer's snapshot.
    """

    def __init__(
        self, folder: Path, snapshots: Snapshots, attempt: int, say: Say, stored: Mapping[str, Stamp]
    ) -> None:  # fmt: skip
        self._folder = folder
        self._snapshots = snapshots
        self._attempt = attempt
        self._say = say
        self._writer = os.urandom(4).hex()
        self._uploads = 0
        self._current: dict[str, tuple[Stamp, StoredFile | None]] = {path: (stored[path], None) for path in stored}
        self._uploaded: dict[tuple[str, int], str] = {}
        self._before: set[Stamp] = set()
        self._changed_at: float | None = None
        self._removes = True
        self.superseded = False
        """A later attempt stores checkpoints: this one's are of no use any more."""

    @property
    def stored(self) -> dict[str, Stamp]:
        """What is stored now."""
        return {path: stamp for path, (stamp, _) in self._current.items()}

    def look(self, now: float, *, force: bool = False) -> bool:
        """
        Store the folder if it is time to; whether all of it is stored.

        :param now: monotonic seconds.
        :param force: nothing is being written at this moment, so do not wait for it to rest.
        """
        seen = scan(self._folder)
        # A folder that was emptied is about to be filled again, or is not needed any more.
        if self.superseded or not seen or {path: file.stamp for path, file in seen.items()} == self.stored:
            self._changed_at = None
            return not self.superseded
        if self._changed_at is None:
            self._changed_at = now
        rests = all(file.renamed or file.stamp in self._before for file in seen.values())
        self._before = {file.stamp for file in seen.values()}
        late = force or now - self._changed_at >= PATIENCE_SECONDS
        if not rests and not late:
            return False
        if late:
            self._changed_at = None  # what never rests is tried once in a while, not at every look
        return self._store(seen, partly=late)

    def _store(self, seen: Mapping[str, Seen], *, partly: bool) -> bool:
        """
        :param partly: a file that changes meanwhile is stored as it was in the snapshot before, or left out.
        """
        found: dict[str, tuple[Stamp, StoredFile | None]] = {}
        for path, file in sorted(seen.items()):
            stored = self._stored_file(path, file.stamp)
            if stored is not None:
                found[path] = (file.stamp, stored)
            elif not partly:
                return False
            elif path in self._current and self._current[path][1] is not None:
                found[path] = self._current[path]
        files = [stored for _, stored in found.values() if stored is not None]
        if not files or {path: stored for path, (_, stored) in found.items()} == {
            path: stored for path, (_, stored) in self._current.items()
        }:
            return False
        number = max((name.number for name in self._snapshots.names()), default=0) + 1
        name = Name(self._attempt, number, self._writer)
        self._snapshots.write(name, files, datetime.now(timezone.utc).isoformat(timespec="seconds"))
        self._current, self._changed_at = found, None
        self._remove_old()
        return len(found) == len(seen) and all(found[path][0] == file.stamp for path, file in seen.items())

    def _stored_file(self, path: str, stamp: Stamp) -> StoredFile | None:
        """The file as it is in the store, uploaded if need be; ``None`` if it changes meanwhile."""
        known = self._current.get(path)
        if known is not None and known[0] == stamp and known[1] is not None:
            return known[1]
        whole = self._folder / path
        try:
            digest = digest_of(whole)
            if Stamp.of(whole.lstat()) != stamp:
                return None
            name = self._uploaded.get((digest, stamp.size))
            if name is None:
                self._uploads += 1
                name = f"{owner(self._attempt, self._writer)}/{self._uploads}"
                self._snapshots.upload(whole, name)
            if Stamp.of(whole.lstat()) != stamp:
                return None
        except FileNotFoundError:
            return None
        self._uploaded[digest, stamp.size] = name
        return StoredFile(path, stamp.size, digest, stamp.mtime_ns, name)

    def _remove_old(self) -> None:
        names = self._snapshots.names()
        if names and names[0].attempt > self._attempt:
            self.superseded = True
            self._say(f"attempt {names[0].attempt} stores checkpoints: those of attempt {self._attempt} end here")
            return
        if not self._removes:
            return
        try:
            needed = self._snapshots.remove_old(self._attempt, self._writer, KEEP)
        except Exception as error:  # a store's client raises what it likes, and all is stored already
            self._removes = isinstance(error, Damaged)
            self._say(f"old checkpoints are not removed: {error}")
            return
        self._uploaded = {key: name for key, name in self._uploaded.items() if name in needed}


class Keeper:
    """
    Stores all checkpoint folders of a job while it runs, in a thread.

    :param area: where the folders are; it need not exist yet.
    :param uri: of all the checkpoints of the task instance.
    :param say: takes a line for people.
    """

    def __init__(self, area: Path, objects: Objects, uri: str, attempt: int, say: Say) -> None:
        self._area = area
        self._objects = objects
        self._uri = uri
        self._attempt = attempt
        self._say = say
        self._writers: dict[str, FolderWriter] = {}
        self._answered: dict[str, str] = {}
        self._done = threading.Event()
        self._given_up = False
        self._all_stored = True
        self._thread = threading.Thread(target=self._run, name="mlx-checkpoints", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def finish(self, seconds_left: Callable[[], float]) -> bool:
        """
        Store what is not stored yet, now that nothing writes any more; whether all of it is stored.

        :param seconds_left: asked again and again: how long this may still take.
        """
        self._done.set()
        while self._thread.is_alive():
            left = seconds_left()
            if left <= 0:
                self._say("the last checkpoint could not be stored in time: the one before it counts")
                return False
            self._thread.join(min(left, 0.2))
        return self._all_stored

    def stop(self) -> None:
        """Store nothing any more, not even what is not stored yet."""
        self._given_up = True
        self._done.set()

    def _run(self) -> None:
        # Signals are the main thread's: one that this thread took would not wake it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGALRM})
        pause, look_at = REST_SECONDS, 0.0
        while not self._done.wait(_TICK_SECONDS):
            asked = self._asked()
            if not asked and time.monotonic() < look_at:
                continue
            well = self._look(asked)
            pause = REST_SECONDS if well else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            look_at = time.monotonic() + pause
        for _ in range(3):
            if self._given_up or self._look({}, force=True):
                break
            time.sleep(1.0)

    def _look(self, asked: Mapping[str, str], *, force: bool = False) -> bool:
        """Whether the store has taken everything that was ready."""
        well = self._all_stored = True
        for name in self._names():
            try:
                stored = self._store(name, force=force or name in asked)
            except Exception as error:  # a store's client raises what it likes; the step is not to fail over it
                self._say(f"the checkpoint is not stored yet: {type(error).__name__}: {error}")
                well = stored = False
            self._all_stored &= stored
            if name in asked:
                self._answered[name] = asked[name]
                _replace(self._area / f"{name}.synced", f"{asked[name]} {'stored' if stored else 'failed'}")
        return well

    def _store(self, name: str, *, force: bool) -> bool:
        writer = self._writer(name)
        before = writer.stored
        whole = writer.look(time.monotonic(), force=force)
        if writer.stored != before:
            write_stored(self._area, name, writer.stored)
        return whole

    def _writer(self, name: str) -> FolderWriter:
        if name not in self._writers:
            snapshots = Snapshots(self._objects, join(self._uri, name))
            stored = read_stored(self._area, name)
            self._writers[name] = FolderWriter(self._area / name, snapshots, self._attempt, self._say, stored)
        return self._writers[name]

    def _names(self) -> list[str]:
        if not self._area.is_dir():
            return []
        found = [path for path in self._area.iterdir() if path.is_dir() and not path.is_symlink()]
        return sorted(path.name for path in found if not path.name.startswith("."))

    def _asked(self) -> dict[str, str]:
        """Who wants to be stored now, and by which word."""
        words = {name: _text(self._area / f"{name}.sync") for name in self._names()}
        return {name: word for name, word in words.items() if word and word != self._answered.get(name)}


def keep(context: StepContext, work: Path) -> Keeper:
    """Begin to store what a job checkpoints in its work folder."""
    from .store import Store

    def say(text: str) -> None:
        print(f"mlx: {text}", flush=True)

    store = Store(context.get("store", {}), scratch=work)
    uri, attempt = context["checkpoint_uri"], context["step"]["attempt"]
    keeper = Keeper(work / CHECKPOINTS_FOLDER, store, uri, attempt, say)
    keeper.start()
    return keeper


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    draft.write_text(text)
    draft.replace(path)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
