"""
What backends and codecs are tested with: the contracts that all of them keep, and fakes that fail on request.

Names are loaded when they are asked for: the contracts need pytest, and a codec's needs nothing of Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .capabilities import capability_matrix as capability_matrix
    from .capabilities import capability_row as capability_row
    from .codec_contract import CodecContract as CodecContract
    from .contract import BackendContract as BackendContract
    from .fake import FakeBackend as FakeBackend
    from .fake import FakeCluster as FakeCluster
    from .fake import Script as Script
    from .processes import ProcessBackend as ProcessBackend

_WHERE: Final = {
    "BackendContract": "contract",
    "CodecContract": "codec_contract",
    "FakeBackend": "fake",
    "FakeCluster": "fake",
    "ProcessBackend": "processes",
    "Script": "fake",
    "capability_matrix": "capabilities",
    "capability_row": "capabilities",
}

__all__ = [
    "BackendContract", "CodecContract", "FakeBackend", "FakeCluster", "ProcessBackend", "Script", "capability_matrix",
    "capability_row",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
