"""
Unpacking what came over the wire, within bounds.

One set of rules for the bundle's zip and for a directory's tar: relative forward-slash names only, no links, no two
names that one case-insensitive file system would merge, and limits on files, bytes and compression ratio.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Iterable, Iterator  # noqa: UP035  (Python 3.9)

from .refusals import ArtifactError, BundleRefused

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo
    from zipfile import ZipInfo

MAX_FILES = 50_000
"""Of a bundle, which is source code."""
MAX_DIRECTORY_FILES = 1_000_000
"""Of a directory artifact; their names, some 150 bytes each, are in memory while they are compared."""
MAX_BUNDLE_BYTES = 2 * 1024**3
MAX_RATIO = 100
"""Bundles are stored uncompressed; a ratio like this is a zip bomb, not source code."""
SOURCE_FOLDER = "source"
_COPY_BYTES = 1024 * 1024
MAX_TAR_HEADER_BYTES = 64 * 1024
"""Of one extended header, which ``tarfile`` reads into memory whole; ours hold a name."""

_GNU_LONG = (b"L", b"K")
_OF_NAMES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""What a file system says about a name, so that the archive is to blame and not the disk."""


def name_problem(name: str) -> str | None:
    """Why an archive's member must not be written under this name; None when it may."""
    if not name or "\0" in name:
        return "it has no usable name"
    if "\\" in name:
        return "its name has a backslash"
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "its name is absolute"
    if any(part in ("..", ".", "") for part in name.rstrip("/").split("/")):
        return "its name climbs out of the folder, or is not normal"
    return None


class Names:
    """The names that an extraction has seen; refuses two that differ in case, or in how they compose letters, only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: dict[str, str] = {}

    def problem(self, name: str) -> str | None:
        """Why this name is refused beside the earlier ones; None when it may be written."""
        if len(self._seen) >= self._limit:
            return f"there are more than {self._limit} files"
        key = _folded(name.rstrip("/"))
        if key in self._seen:
            return f"it has the same name as {self._seen[key]!r}"
        self._seen[key] = key if key == name else name
        return None


def _folded(name: str) -> str:
    """One spelling for the names that some file system would merge: HFS+ and APFS compose letters as well."""
    if name.isascii():
        return name.lower()
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def extract_source(bundle: Path | BinaryIO, destination: Path) -> Path:
    """
    Extract the bundle's ``source/`` into a fresh folder and return that folder.

    :raises BundleRefused: a member is outside the bounds; the first one is named.
    """
    import zipfile

    root = destination / SOURCE_FOLDER
    root.mkdir()
    with zipfile.ZipFile(bundle) as archive:
        members = archive.infolist()
        _check_bundle(members)
        for member in members:
            # `filename` is already cut at NUL and has this system's separators replaced: judge what the archive says.
            name = member.orig_filename
            if not name.startswith(f"{SOURCE_FOLDER}/"):
                continue
            target = destination / PurePosixPath(name)
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as reader, target.open("xb") as writer:
                while chunk := reader.read(_COPY_BYTES):
                    writer.write(chunk)
            if member.external_attr >> 16 & 0o111:
                target.chmod(0o755)
    return root


def _check_bundle(members: Iterable[ZipInfo]) -> None:
    """All of them before the first is written: a bomb costs no disk."""
    import stat

    names = Names(MAX_FILES)
    total = 0
    for member in members:
        name = member.orig_filename
        problem = name_problem(name) or names.problem(name)
        if stat.S_ISLNK(member.external_attr >> 16):
            problem = "it is a link"
        total += member.file_size
        if total > MAX_BUNDLE_BYTES:
            problem = f"the files are larger than {MAX_BUNDLE_BYTES} bytes together"
        if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
            problem = f"it is compressed more than {MAX_RATIO} times"
        if problem:
            raise BundleRefused(f"the bundle's member {name!r} was not extracted: {problem}")


def extract_tar(archive_path: Path, destination: Path) -> Path:
    """
    Extract a directory artifact (an uncompressed tar of files and folders) into ``destination``, which must not exist.

    :raises ArtifactError: a member is outside the bounds; the first one is named.

    ``tarfile``'s own filters came with Python 3.12 and were added late to older ones, so nothing here relies on them.
    """
    import tarfile

    destination.mkdir(parents=True)
    try:
        with tarfile.open(archive_path, "r:", tarinfo=_bounded_header()) as archive:
            _check_directory(_members(archive))
        with (
            archive_path.open("rb") as file,
            tarfile.open(fileobj=file, mode="r:", tarinfo=_bounded_header()) as archive,
        ):
            for member in _members(archive):
                _extract_member(file, member, destination)
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise ArtifactError(f"the directory's archive cannot be read: {error}") from error
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise ArtifactError(f"the directory's archive was not extracted: {error}") from error
    return destination


def _members(archive: TarFile) -> Iterator[TarInfo]:
    """Each member once; ``tarfile`` would keep them all."""
    while (member := archive.next()) is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # not in typeshed, there since 2.3


def _extract_member(file: BinaryIO, member: TarInfo, destination: Path) -> None:
    """Read by the member's place in the archive: ``extractfile`` takes longer than all else for a small file."""
    target = f"{destination}/{member.name}"
    if member.isdir():
        os.makedirs(target, exist_ok=True)  # noqa: PTH103  (no Path objects for a hundred thousand names)
        return
    mode = 0o755 if member.mode & 0o100 else 0o644
    with os.fdopen(_create(target, mode), "wb") as writer:
        os.fchmod(writer.fileno(), mode)  # whatever the umask says
        file.seek(member.offset_data)
        left = member.size
        while left:
            chunk = file.read(min(left, _COPY_BYTES))
            if not chunk:
                raise ArtifactError(f"the directory's member {member.name!r} is cut off")
            writer.write(chunk)
            left -= len(chunk)


def _create(target: str, mode: int) -> int:
    """A new file's descriptor; its folders are made only where they are missing, which is seldom."""
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(target, how, mode)
    except FileNotFoundError:
        os.makedirs(target.rpartition("/")[0], exist_ok=True)  # noqa: PTH103
        return os.open(target, how, mode)


def _check_directory(members: Iterable[TarInfo]) -> None:
    """All of them before the first is written."""
    names = Names(MAX_DIRECTORY_FILES)
    for member in members:
        problem = name_problem(member.name) or names.problem(member.name)
        if not (member.isreg() or member.isdir()) or member.issparse():
            problem = "it is neither a file nor a folder"
        if problem:
            raise ArtifactError(f"the directory's member {member.name!r} was not extracted: {problem}")


def _bounded_header() -> Any:
    """A ``TarInfo`` that refuses an extended header which would fill the memory."""
    import tarfile

    extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *_GNU_LONG)

    class BoundedTarInfo(tarfile.TarInfo):
        """``_proc_member`` is tarfile's own point of extension, called once per header before its content is read."""

        def _proc_member(self, archive: tarfile.TarFile) -> Any:
            if self.type in extended and self.size > MAX_TAR_HEADER_BYTES:
                raise ArtifactError(f"the directory's archive has a header of {self.size} bytes and was not extracted")
            return super()._proc_member(archive)  # type: ignore[misc]

    return BoundedTarInfo


def fresh_folder(prefix: str = "mlx-") -> Path:
    """A new folder of our own in the system's temporary folder (``tempfile`` would add to the start-up's imports)."""
    parent = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  (the name is unguessable and made with mode 0700)
    folder = parent / f"{prefix}{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700)
    return folder
