"""Hostile archives, as a bundle and as a directory artifact: refused within bounds of time, memory and disk."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.extraction import MAX_DIRECTORY_FILES, MAX_FILES, extract_source, extract_tar
from airflow_provider_mlx.runtime.refusals import ArtifactError, BundleRefused

NAMES = [
    "/etc/cron.d/x", "../x", "a/../../x", "a/./x", "a//x", "..", ".", "a\\..\\x", "C:/x", "C:x", "//host/x", "a/../x",
]  # fmt: skip
PAIRS = [
    ("a.py", "A.py"), ("a.py", "a.py"), ("a", "a/b"), ("straße", "STRASSE"), ("\u00e9", "e\u0301"), ("\u00c9", "e\u0301"),
    ("a/", "A"), ("K", "\u212a"), ("ſ", "s"),
]  # fmt: skip
"""Names that one file system or another takes for the same: by case, by composition, or for a file and a folder."""


def zip_of(path: Path, *members: tuple[str, bytes], mode: int = 0, method: int = zipfile.ZIP_STORED) -> Path:
    import warnings

    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        for name, data in members:
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # as it is: ZipInfo would cut it at a NUL
            entry.compress_type, entry.external_attr, entry._compresslevel = method, mode << 16, 1
            archive.writestr(entry, data)
    return path


def tar_of(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(data) if entry.size else None)
    return path


def refused_zip(archive: Path, into: Path) -> str:
    into.mkdir()
    with pytest.raises(BundleRefused) as refused:
        extract_source(archive, into)
    return str(refused.value)


def refused_tar(archive: Path, into: Path) -> str:
    with pytest.raises(ArtifactError) as refused:
        extract_tar(archive, into)
    return str(refused.value)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_good_archive_is_extracted(tmp_path):
    """The control: the same helpers, a name that is none of the below."""
    (tmp_path / "to").mkdir()
    extract_source(zip_of(tmp_path / "z", ("source/a/b.py", b"1"), ("source/é.py", b"2")), tmp_path / "to")
    assert (tmp_path / "to/source/a/b.py").read_bytes() == b"1"
    extract_tar(tar_of(tmp_path / "t", ("a/b", b"1"), ("é", b"2"), ("x" * 200, b"3")), tmp_path / "t2")
    assert (tmp_path / "t2/a/b").read_bytes() == b"1"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_is_refused(name, tmp_path):
    archive = zip_of(tmp_path / "z", (name if name.startswith(("/", "C:")) else f"source/{name}", b"x"))
    assert "was not extracted" in refused_zip(archive, tmp_path / "zip")
    assert "was not extracted" in refused_tar(tar_of(tmp_path / "t", (name, b"x")), tmp_path / "tar")
    assert everything(tmp_path / "zip") == ["source"]
    assert everything(tmp_path / "tar") == []
    assert everything(tmp_path) == ["t", "tar", "z", "zip", "zip/source"]


def test_a_name_that_is_cut_at_a_nul_is_judged_whole(tmp_path):
    data = bytearray(zip_of(tmp_path / "z", ("source/a.pyZ../../x", b"x")).read_bytes())
    (tmp_path / "z").write_bytes(bytes(data).replace(b"a.pyZ", b"a.py\0"))
    assert "was not extracted" in refused_zip(tmp_path / "z", tmp_path / "zip")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(ascii(name) for name in pair))
def test_two_names_that_may_be_one_are_refused(pair, tmp_path):
    into = tmp_path / "zip"
    into.mkdir()
    archive = zip_of(tmp_path / "z", *((f"source/{name}", b"") for name in pair))
    with pytest.raises((BundleRefused, OSError)):  # the supervisor makes one of both
        extract_source(archive, into)
    refused_tar(tar_of(tmp_path / "t", *((name.rstrip("/"), b"x") for name in pair)), tmp_path / "tar")


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE", "GNUTYPE_SPARSE"])
def test_what_is_neither_a_file_nor_a_folder_is_refused(kind, tmp_path):
    archive = tar_of(tmp_path / "t", ("l", b""), kind=getattr(tarfile, kind), link="/etc/passwd")
    assert "neither a file nor a folder" in refused_tar(archive, tmp_path / "tar")
    assert everything(tmp_path / "tar") == []


def test_a_link_in_a_bundle_is_refused_and_one_behind_it_too(tmp_path):
    archive = zip_of(tmp_path / "z", ("source/l", b"/tmp"), ("source/l/x", b"x"), mode=0o120777)
    assert "it is a link" in refused_zip(archive, tmp_path / "zip")


def test_a_bundle_of_too_many_files_is_refused_before_they_are_written(tmp_path):
    archive = zip_of(tmp_path / "z", *((f"other/{number}", b"") for number in range(MAX_FILES + 1)))
    assert f"more than {MAX_FILES} files" in refused_zip(archive, tmp_path / "zip")


# --- in a process with little memory ---------------------------------------------------------------------------------

CHILD = """
import json, resource, sys, time
from pathlib import Path
from airflow_provider_mlx.runtime import extraction
from airflow_provider_mlx.runtime.extraction import extract_source, extract_tar
import tarfile, zipfile, unicodedata
MIB = 1024 * 1024
# a tenth of the real limits, so that the bombs are quickly built
extraction.MAX_FILES //= 10
extraction.MAX_DIRECTORY_FILES //= 100
extraction.MAX_BUNDLE_BYTES //= 10
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (600 * MIB, 600 * MIB))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * MIB, 64 * MIB))
kind, archive, into = sys.argv[1:]
start, said = time.monotonic(), "extracted"
try:
    if kind == "zip":
        Path(into).mkdir()
        extract_source(Path(archive), Path(into))
    else:
        extract_tar(Path(archive), Path(into))
except BaseException as error:
    said = f"{type(error).__name__}: {error}"
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(json.dumps({"said": said, "seconds": time.monotonic() - start, "mib": grown}))
"""


def extract_apart(kind: str, archive: Path, into: Path) -> dict:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-S", "-c", textwrap.dedent(CHILD), kind, str(archive), str(into)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def small_bomb(folder: Path) -> tuple[str, Path]:
    """1000 to 1."""
    data = [("source/zeros", bytes(50_000_000))]
    return "zip", zip_of(folder / "z", *data, method=zipfile.ZIP_DEFLATED)


def many_small_bombs(folder: Path) -> tuple[str, Path]:
    """Each file stays below the ratio, and all together are too large."""
    data = bytes(100_000)
    return "zip", zip_of(folder / "z", *((f"source/{n}", data) for n in range(3_000)), method=zipfile.ZIP_DEFLATED)


def overlapping(folder: Path) -> tuple[str, Path]:
    """Entries of the directory that share one file's data (D. Fifield, 2019)."""
    raw = zip_of(folder / "one", ("source/a", os.urandom(200_000))).read_bytes()
    start = raw.index(b"PK\x01\x02")
    entry, count = raw[start : raw.index(b"PK\x05\x06")], 4_000
    entries = b"".join(entry.replace(b"source/a", b"source/%05d" % n) for n in range(count))
    lengths = struct.pack("<H", len(b"source/00000"))
    entries = b"".join(entries[i : i + len(entry) + 4] for i in range(0, len(entries), len(entry) + 4))
    fixed = bytearray(entries)
    for offset in range(0, len(fixed), len(entry) + 4):
        fixed[offset + 28 : offset + 30] = lengths
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(fixed), start, 0)
    (folder / "z").write_bytes(raw[:start] + bytes(fixed) + end)
    return "zip", folder / "z"


def lying_size(folder: Path) -> tuple[str, Path]:
    """The directory says ten bytes, the data goes on to fifty megabytes."""
    raw = bytearray(zip_of(folder / "z", ("source/a", bytes(50_000_000)), method=zipfile.ZIP_DEFLATED).read_bytes())
    start = raw.rindex(b"PK\x01\x02")
    raw[start + 24 : start + 28] = struct.pack("<I", 10)
    (folder / "z").write_bytes(raw)
    return "zip", folder / "z"


def huge_header(folder: Path) -> tuple[str, Path]:
    """An extended header that `tarfile` would read whole."""
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, 1_000_000_000
    with (folder / "t").open("wb") as file:
        file.write(entry.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(1_000_100_000)
    return "tar", folder / "t"


def huge_name(folder: Path) -> tuple[str, Path]:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1_000_000_000
    with (folder / "t").open("wb") as file:
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1_000_100_000)
    return "tar", folder / "t"


def headers_of_headers(folder: Path) -> tuple[str, Path]:
    """Each header announces another: `tarfile` calls itself."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2
    (folder / "t").write_bytes((entry.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 50_000)
    return "tar", folder / "t"


def too_many_members(folder: Path) -> tuple[str, Path]:
    entry = b"".join(tarfile.TarInfo(str(n)).tobuf() for n in range(MAX_DIRECTORY_FILES // 100 + 10))
    (folder / "t").write_bytes(entry + bytes(1024))
    return "tar", folder / "t"


def sparse(folder: Path) -> tuple[str, Path]:
    """A hole of a terabyte, in the newest of the forms (PAX 1.0)."""
    with tarfile.open(folder / "t", "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a")
        body = b"1\n1000000000000\n1\n".ljust(512, b"\0") + b"x"
        entry.size = len(body)
        entry.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": "1000000000001",
            "GNU.sparse.name": "a",
        }
        archive.addfile(entry, io.BytesIO(body))
    return "tar", folder / "t"


def compressed(folder: Path) -> tuple[str, Path]:
    """A directory artifact is not compressed, so that its size bounds what comes out."""
    with tarfile.open(folder / "t", "w:gz") as archive:
        entry = tarfile.TarInfo("zeros")
        entry.size = 100_000_000
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return "tar", folder / "t"


def deep(folder: Path) -> tuple[str, Path]:
    """Folders deeper than a path may be long."""
    return "tar", tar_of(folder / "t", ("a/" * 3000 + "x", b"1"))


BOMBS = [
    small_bomb, many_small_bombs, overlapping, lying_size, huge_header, huge_name, headers_of_headers, too_many_members,
    sparse, compressed, deep,
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_refused_within_bounds(bomb, tmp_path):
    kind, archive = bomb(tmp_path)
    told = extract_apart(kind, archive, tmp_path / "to")
    assert told["said"] != "extracted"
    assert told["said"].startswith(("BundleRefused", "ArtifactError", "BadZipFile")), told
    assert told["mib"] < 150, told
    assert told["seconds"] < 10, told
    written = sum(file.stat().st_size for file in (tmp_path / "to").rglob("*") if file.is_file())
    assert written < 1000, "it is refused before anything is written"


def test_the_bounds_are_felt(tmp_path):
    """The control: the same process does fail where more memory is asked for than it has."""
    command = CHILD.replace('said = "extracted"', 'said = "extracted"; hog = None').replace(
        'if kind == "zip":', 'if kind == "hog":\n        hog = bytearray(700 * MIB)\n    elif kind == "zip":'
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(command), "hog", "x", str(tmp_path / "to")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["said"].startswith("MemoryError")


@pytest.mark.parametrize("content", ["not a zip", "cut", "empty", "flipped"])
def test_a_bundle_that_is_damaged_is_refused_by_the_job(content, job, tmp_path):
    """As if it had been made so: its digest is right, and `error.json` says what happened."""
    import hashlib

    command, attempt = job.prepare("def run():\n    return 1\n" + "#" * 5000)
    bundle = Path(command[3])
    data = bundle.read_bytes()
    at = data.index(b"#####")
    flipped = data[:at] + b"?" + data[at + 1 :]
    bundle.write_bytes({"not a zip": b"PK", "cut": data[:-30], "empty": b"", "flipped": flipped}[content])
    command[4] = hashlib.sha256(bundle.read_bytes()).hexdigest()
    start = time.monotonic()
    done = job.finish(command, attempt)
    assert done.status != 0
    assert not (attempt / "result.json").exists()
    assert time.monotonic() - start < 10
    if content == "flipped":
        assert done.error["reason"] == "JobMisconfigured"
        assert "cannot be unpacked" in done.error["message"]
