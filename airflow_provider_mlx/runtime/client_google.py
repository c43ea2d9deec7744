"""google-cloud-storage, which Google's own images have."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .clients import Listed, bucket_and_key
from .transfer import PART_BYTES, NoAnswer, ObjectChanged, Part, one_line


class GoogleClient:
    """One client, with Google's own retries of single requests."""

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        from google.cloud import storage

        self._client = storage.Client()

    def open(self, uri: str, start: int = 0, version: str = "") -> Part:
        """Ask for an object from a byte on; only for the object of this version (its generation), if one is given."""
        bucket, key = bucket_and_key(uri)
        with _answers(uri):
            blob = self._client.bucket(bucket).get_blob(key)
        if blob is None:
            raise FileNotFoundError(uri)
        if version and version != str(blob.generation):
            raise ObjectChanged("it was replaced while it was read")
        return Part(start, blob.size, str(blob.generation), _chunks(blob, uri, start))

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file, atomically at any size (generation 0 means "not there")."""
        with _answers(uri):
            self._blob(uri).upload_from_filename(str(path), if_generation_match=0)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        with _answers(uri):
            return bool(self._blob(uri).exists())

    def listed(self, uri: str) -> Iterator[Listed]:
        """Every object under a prefix, which is taken as a folder."""
        bucket, key = bucket_and_key(uri)
        with _answers(uri):
            for blob in self._client.list_blobs(bucket, prefix=key.rstrip("/") + "/"):
                yield Listed(f"gs://{bucket}/{blob.name}", int(blob.size), str(blob.generation))

    def delete(self, uri: str) -> None:
        """Remove the object; none being there is fine."""
        with suppress(FileNotFoundError), _answers(uri):
            self._blob(uri).delete()

    def _blob(self, uri: str) -> Any:
        bucket, key = bucket_and_key(uri)
        return self._client.bucket(bucket).blob(key, chunk_size=PART_BYTES)


def _chunks(blob: Any, uri: str, start: int) -> Iterator[bytes]:
    """Range by range, each bound to the generation; the library's own streaming download cannot start in the middle."""
    try:
        with _answers(uri):
            while start < blob.size:
                end = min(start + PART_BYTES, blob.size)
                yield blob.download_as_bytes(start=start, end=end - 1, if_generation_match=blob.generation)
                start = end
    except (FileExistsError, FileNotFoundError) as error:
        raise ObjectChanged("it was replaced while it was read") from error


@contextmanager
def _answers(uri: str) -> Iterator[None]:
    """What Google's client raises, in the words of :class:`~.clients.Client`."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError
    from requests.exceptions import RequestException

    try:
        yield
    except exceptions.NotFound as error:
        raise FileNotFoundError(uri) from error
    except exceptions.PreconditionFailed as error:
        raise FileExistsError(uri) from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise PermissionError(one_line(error)) from error
    except (
        exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, TransportError, RequestException,
    ) as error:  # fmt: skip
        raise NoAnswer(one_line(error)) from error
