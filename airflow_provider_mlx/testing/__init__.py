"""
What a backend is tested with: the contract that all of them keep, and fakes that fail on request.

:class:`BackendContract` is a pytest class; pytest is imported when it is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .capabilities import capability_matrix, capability_row
from .fake import FakeBackend, FakeCluster, Script

if TYPE_CHECKING:
    from .contract import BackendContract as BackendContract
    from .processes import ProcessBackend as ProcessBackend

__all__ = [
    "BackendContract",
    "FakeBackend",
    "FakeCluster",
    "ProcessBackend",
    "Script",
    "capability_matrix",
    "capability_row",
]


def __getattr__(name: str) -> Any:
    if name == "BackendContract":
        from .contract import BackendContract

        return BackendContract
    if name == "ProcessBackend":
        from .processes import ProcessBackend

        return ProcessBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
