"""
Unpacking what came over the wire, within bounds.

One set of rules for the bundle's zip and for a directory's tar: relative forward-slash names only, no links, no two
names that one case-insensitive file system would merge, and limits on files, bytes and compression ratio.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from .refusals import ArtifactError, BundleRefused

MAX_FILES = 50_000
MAX_BUNDLE_BYTES = 2 * 1024**3
MAX_RATIO = 100
"""Bundles are stored uncompressed; a ratio like this is a zip bomb, not source code."""
SOURCE_FOLDER = "source"
_COPY_BYTES = 1024 * 1024


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
    """The names that an extraction has seen; refuses two that differ in case only."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def problem(self, name: str) -> str | None:
        """Why this name is refused beside the earlier ones; None when it may be written."""
        if len(self._seen) >= MAX_FILES:
            return f"there are more than {MAX_FILES} files"
        key = name.rstrip("/").casefold()
        if key in self._seen:
            return f"it has the same name as {self._seen[key]!r}"
        self._seen[key] = name
        return None


def extract_source(bundle: Path, destination: Path) -> Path:
    """
    Extract the bundle's ``source/`` into a fresh folder and return that folder.

    :raises BundleRefused: a member is outside the bounds; the first one is named.
    """
    import stat
    import zipfile

    root = destination / SOURCE_FOLDER
    root.mkdir()
    names = Names()
    total = 0
    with zipfile.ZipFile(bundle) as archive:
        for member in archive.infolist():
            # `filename` is already cut at NUL and has this system's separators replaced: judge what the archive says.
            name = member.orig_filename
            mode = member.external_attr >> 16
            problem = name_problem(name) or names.problem(name)
            if stat.S_ISLNK(mode):
                problem = "it is a link"
            total += member.file_size
            if total > MAX_BUNDLE_BYTES:
                problem = f"the files are larger than {MAX_BUNDLE_BYTES} bytes together"
            if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
                problem = f"it is compressed more than {MAX_RATIO} times"
            if problem:
                raise BundleRefused(f"the bundle's member {name!r} was not extracted: {problem}")
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
            if mode & 0o111:
                target.chmod(0o755)
    return root


def extract_tar(archive_path: Path, destination: Path) -> Path:
    """
    Extract a directory artifact (an uncompressed tar of files and folders) into ``destination``, which must not exist.

    :raises ArtifactError: a member is outside the bounds; the first one is named.

    ``tarfile``'s own filters came with Python 3.12 and were added late to older ones, so nothing here relies on them.
    """
    import tarfile

    destination.mkdir(parents=True)
    names = Names()
    try:
        with tarfile.open(archive_path, "r:") as archive:
            for member in archive:
                problem = name_problem(member.name) or names.problem(member.name)
                if not (member.isreg() or member.isdir()) or member.issparse():
                    problem = "it is neither a file nor a folder"
                if problem:
                    raise ArtifactError(f"the directory's member {member.name!r} was not extracted: {problem}")
                target = destination / PurePosixPath(member.name)
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                reader = archive.extractfile(member)
                if reader is None:
                    raise ArtifactError(f"the directory's member {member.name!r} has no content")
                with reader, target.open("xb") as writer:
                    while chunk := reader.read(_COPY_BYTES):
                        writer.write(chunk)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (tarfile.TarError, EOFError) as error:
        raise ArtifactError(f"the directory's archive cannot be read: {error}") from error
    return destination


def fresh_folder(prefix: str = "mlx-") -> Path:
    """A new folder of our own in the system's temporary folder (``tempfile`` would add to the start-up's imports)."""
    parent = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  (the name is unguessable and made with mode 0700)
    folder = parent / f"{prefix}{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700)
    return folder
