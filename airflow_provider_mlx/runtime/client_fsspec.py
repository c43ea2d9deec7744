"""fsspec with the scheme's own package: the widest net, and it cannot create conditionally."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .addresses import split_uri
from .clients import Listed
from .transfer import NoAnswer, ObjectChanged, Part, one_line


class FsspecClient:
    """One file system of fsspec's."""

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        import fsspec

        settings: dict[str, Any] = {}
        if scheme == "s3" and options.get("endpoint_url"):
            settings["endpoint_url"] = options["endpoint_url"]
        if scheme == "s3" and options.get("region"):
            settings["client_kwargs"] = {"region_name": options["region"]}
        self._scheme = scheme
        self._files = fsspec.filesystem(scheme, **settings)

    def open(self, uri: str, start: int = 0, version: str = "") -> Part:
        """Ask for an object from a byte on; only for the object of this version, if one is given."""
        with _answers():
            self._files.invalidate_cache()
            found = str(self._files.ukey(uri))
            if version and version != found:
                raise ObjectChanged("it was replaced while it was read")
            return Part(start, int(self._files.size(uri)), found, self._chunks(uri, start))

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file, after a look."""
        if self.exists(uri):
            raise FileExistsError(uri)
        with _answers():
            self._files.put_file(str(path), uri)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        with _answers():
            self._files.invalidate_cache()
            return bool(self._files.exists(uri))

    def listed(self, uri: str) -> Iterator[Listed]:
        """Every object under a prefix, which is taken as a folder."""
        with _answers():
            self._files.invalidate_cache()
            found = self._files.find(uri.rstrip("/") + "/", detail=True)
        for path, facts in found.items():
            there = split_uri(f"{self._scheme}://" + path.lstrip("/"))[1]
            version = str(facts.get("ETag") or facts.get("etag") or facts.get("mtime") or facts.get("created") or "")
            yield Listed(f"{self._scheme}://{there}", int(facts["size"]), version)

    def delete(self, uri: str) -> None:
        """Remove the object; none being there is fine."""
        with suppress(FileNotFoundError), _answers():
            self._files.rm_file(uri)

    def _chunks(self, uri: str, start: int) -> Iterator[bytes]:
        with _answers(), self._files.open(uri, "rb") as reader:
            reader.seek(start)
            while chunk := reader.read(1024 * 1024):
                yield chunk


@contextmanager
def _answers() -> Iterator[None]:
    """
    fsspec's packages say what is an answer in Python's own words; the rest is whatever their clients raise, in which
    nothing tells an outage from a refusal.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, ObjectChanged):
        raise
    except (ImportError, NotImplementedError, TypeError, ValueError):
        raise
    except Exception as error:
        raise NoAnswer(one_line(error)) from error
