"""
Conditional writes that are atomic.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: of several writers of one key with
``If-None-Match: *``, the first to finish wins and all others get 412. moto looks first and writes then, so two of them
could both win.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from .s3_requests import S3Request

_WRITES: Final = ("PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject")


class ConditionalWrites:
    """Lets one write of a key at a time through."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(64)]

    @contextlib.contextmanager
    def one_at_a_time(self, request: S3Request) -> Iterator[None]:
        """Wait for other writes of the same key."""
        if request.operation not in _WRITES:
            yield
            return
        with self._locks[hash((request.bucket, request.key)) % len(self._locks)]:
            yield
