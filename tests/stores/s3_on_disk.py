"""
A small S3 whose objects are files: it streams, so that a test may measure its client, and it can be told to misbehave.

moto keeps objects in memory and takes a minute for what this does in seconds. What is answered here is what S3's API
reference says of PutObject, GetObject (``Range``, ``If-Match``), HeadObject and multipart uploads, conditions included.
Signatures are not checked.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COPY_BYTES = 1024 * 1024


@dataclass
class S3OnDisk:
    """What the server holds, what it was asked, and how it shall misbehave."""

    folder: Path
    endpoint: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    """Each answer to a GET ends after so many bytes of its body, and the connection with it, until the list is used up."""
    refuse: Callable[[str, str], int | None] = lambda method, query: None
    """A status with which a request is refused, by its method and query."""
    knows_ranges: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def upload(self, name: str) -> Path:
        """Where the parts of a multipart upload lie."""
        return self.folder / "uploads" / name

    def path(self, key: str) -> Path:
        """Where the object of a key (``bucket/key``) lies."""
        return self.folder / "objects" / hashlib.sha256(key.encode()).hexdigest()

    def put(self, key: str, data: bytes) -> None:
        """Put an object there, over what is there; who reads the old one reads it to its end."""
        draft = self.folder / os.urandom(8).hex()
        draft.write_bytes(data)
        draft.replace(self.path(key))

    @property
    def unfinished_uploads(self) -> list[str]:
        """Multipart uploads that were neither completed nor aborted: their parts cost money."""
        return sorted(path.name for path in (self.folder / "uploads").iterdir())

    def asked(self, method: str) -> list[dict[str, str]]:
        """The headers of every request of a method."""
        return [headers for verb, _, headers in self.requests if verb == method]

    @property
    def client_options(self) -> dict[str, str]:
        """For ``StoreAccess.options``."""
        return {"endpoint_url": self.endpoint, "region": "us-east-1"}


@contextmanager
def s3_on_disk(folder: Path) -> Iterator[S3OnDisk]:
    """Serve a folder until the block ends."""
    for name in ("objects", "uploads"):
        (folder / name).mkdir(parents=True)
    state = S3OnDisk(folder)
    handler = type("Handler", (_Handler,), {"state": state})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: S3OnDisk

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client is gone: what it began to send is not kept
            self.close_connection = True

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.key = unquote(url.path).lstrip("/")
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.state.requests.append((self.command, url.query, {k.lower(): v for k, v in self.headers.items()}))
        refused = self.state.refuse(self.command, url.query)
        if refused is not None:
            self._drain()
            self._say(refused, _error("AccessDenied" if refused == 403 else "InternalError"))
            return
        {
            "GET": self._get, "HEAD": self._get, "PUT": self._put, "POST": self._post, "DELETE": self._delete,
        }[self.command]()  # fmt: skip

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def _get(self) -> None:
        path = self.state.path(self.key)
        if not path.exists():
            self._say(404, _error("NoSuchKey"))
            return
        with path.open("rb") as reader:  # what is open stays what it is, whatever is put meanwhile
            size, etag = os.fstat(reader.fileno()).st_size, _etag(path)
            if self.headers.get("If-Match", etag) != etag:
                self._say(412, _error("PreconditionFailed"))
                return
            start, end, status = 0, size, 200
            if self.state.knows_ranges and (
                wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            ):
                start, end, status = int(wanted[1]), min(int(wanted[2] or size - 1) + 1, size), 206
                if start >= size:
                    self._say(416, _error("InvalidRange"))
                    return
            self.send_response(status)
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", "Mon, 23 Nov 2026 08:00:00 GMT")
            self.send_header("Content-Length", str(end - start))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            if self.command == "GET":
                self._send(reader, start, end - start)

    def _send(self, reader, start: int, count: int) -> None:
        cut = self.state.cuts.pop(0) if self.state.cuts else None
        reader.seek(start)
        left = count if cut is None else min(cut, count)
        while left and (chunk := reader.read(min(left, COPY_BYTES))):
            self.wfile.write(chunk)
            left -= len(chunk)
        if cut is not None and cut < count:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def _put(self) -> None:
        if "uploadId" in self.query:
            self._put_part()
            return
        draft = self.state.folder / os.urandom(8).hex()
        etag = self._receive(draft)
        if not self._publish(draft, etag):
            draft.unlink()
            self._say(412, _error("PreconditionFailed"))
            return
        self._say(200, headers={"ETag": etag})

    def _put_part(self) -> None:
        """Receive a part apart and give it to its upload whole: an upload that was aborted meanwhile takes none."""
        upload, draft = self.state.upload(self.query["uploadId"]), self.state.folder / os.urandom(8).hex()
        etag = self._receive(draft)
        with self.state.lock:
            if taken := upload.is_dir():
                draft.replace(upload / f"{int(self.query['partNumber']):05}")
        if taken:
            self._say(200, headers={"ETag": etag})
        else:
            draft.unlink()
            self._say(404, _error("NoSuchUpload"))

    def _post(self) -> None:
        self._drain()
        if "uploads" in self.query:
            name = os.urandom(8).hex()
            self.state.upload(name).mkdir()
            self._say(
                200,
                f"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{name}</UploadId></InitiateMultipartUploadResult>",
            )
            return
        upload = self.state.upload(self.query["uploadId"])
        if not upload.is_dir():
            self._say(404, _error("NoSuchUpload"))
            return
        draft = self.state.folder / os.urandom(8).hex()
        with draft.open("wb") as whole:
            for part in sorted(upload.iterdir()):
                with part.open("rb") as reader:
                    shutil.copyfileobj(reader, whole, COPY_BYTES)
        etag = f'"{os.urandom(8).hex()}-{len(list(upload.iterdir()))}"'
        if not self._publish(draft, etag):
            draft.unlink()
            self._say(412, _error("PreconditionFailed"))
            return
        shutil.rmtree(upload)
        self._say(
            200,
            f"<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key><ETag>{etag}</ETag></CompleteMultipartUploadResult>",
        )

    def _delete(self) -> None:
        if "uploadId" in self.query:
            with self.state.lock:
                shutil.rmtree(self.state.upload(self.query["uploadId"]), ignore_errors=True)
        else:
            self.state.path(self.key).unlink(missing_ok=True)
        self._say(204)

    def _publish(self, draft: Path, etag: str) -> bool:
        """Give an object its name unless a condition forbids it."""
        with self.state.lock:
            final = self.state.path(self.key)
            if self.headers.get("If-None-Match") == "*" and final.exists():
                return False
            draft.replace(final)
            return True

    def _receive(self, path: Path) -> str:
        left = int(self.headers.get("Content-Length") or 0)
        with path.open("wb") as writer:
            while left and (chunk := self.rfile.read(min(left, COPY_BYTES))):
                writer.write(chunk)
                left -= len(chunk)
        if left:
            path.unlink()
            raise ConnectionAbortedError(f"{left} bytes of a body never came")
        return _etag(path)

    def _drain(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())


def _etag(path: Path) -> str:
    """Of an object's state: another content has another one. (S3's are digests, which would cost a pass here.)"""
    facts = path.stat()
    return f'"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'


def _error(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
