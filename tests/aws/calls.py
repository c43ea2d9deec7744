"""What the endpoint was asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """
    One API call, whatever became of it.

    :param time: when it arrived, in seconds since 1970.
    :param params: of the request, as the service's API reference names them; of S3 the bucket and the key.
    :param principal: who signed it: ``administrator``, or the name of the job with whose credentials it came.
    """

    time: float
    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    principal: str = "administrator"


class CallLog(list[Call]):
    """Every call in the order of arrival; reading it while calls come is safe."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Record one."""
        with self._lock:
            self.append(call)

    def of(self, operation: str) -> list[Call]:
        """The calls of one operation."""
        return [call for call in self.copy() if call.operation == operation]

    def counts(self, *, service: str | None = None, principal: str | None = None) -> Counter[str]:
        """How often each operation was called."""
        return Counter(
            call.operation
            for call in self.copy()
            if service in (None, call.service) and principal in (None, call.principal)
        )
