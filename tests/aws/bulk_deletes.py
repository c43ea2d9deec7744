"""
DeleteObjects of keys of which only some may be deleted: each is judged alone, and those that may go do.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape


def without(environ: dict[str, Any], keys: Sequence[str], denied: Sequence[str]) -> None:
    """
    Take keys out of a request. (Versions of objects are forgotten: no job of ours names any.)
    """
    body: bytes = environ["wsgi.input"].read()
    left = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys if key not in denied)
    quiet = "<Quiet>true</Quiet>" if b"<Quiet>true" in body else ""
    text = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{left}{quiet}</Delete>'.encode()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(text), str(len(text))
    for name in [
        name for name in environ if name.startswith(("HTTP_CONTENT_MD5", "HTTP_X_AMZ_CHECKSUM", "HTTP_X_AMZ_SDK"))
    ]:
        del environ[name]


def with_errors(
    body: Iterable[bytes], denied: Sequence[str], said: list[Any], start_response: Callable[..., Any]
) -> list[bytes]:
    """Tell in an answer which keys were denied."""
    errors = "".join(
        f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        for key in denied
    )
    text = b"".join(body).replace(b"</DeleteResult>", f"{errors}</DeleteResult>".encode())
    headers = [(name, value) for name, value in said[1] if name.lower() != "content-length"]
    start_response(said[0], [*headers, ("Content-Length", str(len(text)))], *said[2:])
    return [text]
