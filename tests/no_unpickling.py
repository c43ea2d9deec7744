"""
Fails a test in whose process something was unpickled, or a model's framework was imported.

Airflow's processes do neither. For a suite: ``from tests.no_unpickling import nothing_unpickles`` in its ``conftest``.
Jobs are processes of their own and are not seen here; a test that is about unpickling says ``@pytest.mark.usefixtures
("may_unpickle")``.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

MODEL_PACKAGES = frozenset({
    "torch", "tensorflow", "jax", "sklearn", "skops", "joblib", "xgboost", "lightgbm", "catboost", "safetensors", "onnx",
    "onnxruntime", "transformers", "keras",
})  # fmt: skip


@dataclass(eq=False)
class Seen:
    """What the hook saw while it was on, with the code that did it."""

    events: list[str] = field(default_factory=list)
    stacks: list[str] = field(default_factory=list)

    def add(self, event: str) -> None:
        self.events.append(event)
        self.stacks.append("".join(traceback.format_stack(limit=12)[:-2]))


_watchers: list[Seen] = []
_installed = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _watchers or event not in ("pickle.find_class", "import"):
        return
    if event == "import":
        name = str(arguments[0]).partition(".")[0]
        if name not in MODEL_PACKAGES or name in sys.modules:
            return
        said = f"import {name}"
    else:
        said = f"unpickled {arguments[0]}.{arguments[1]}"
    for seen in list(_watchers):
        seen.add(said)


@contextmanager
def watching() -> Iterator[Seen]:
    """Note what happens in every thread of this process. An audit hook stays for good, so it is installed once."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    seen, before = Seen(), _loaded()
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
        for name in sorted(_loaded() - before):  # `importlib.import_module` raises no event
            if f"import {name}" not in seen.events:
                seen.add(f"import {name}")


def _loaded() -> set[str]:
    return {name for name in list(sys.modules) if name in MODEL_PACKAGES}


@pytest.fixture
def may_unpickle() -> None:
    """The test is about unpickling."""


@pytest.fixture(autouse=True)
def nothing_unpickles(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test unpickles or imports a framework of models."""
    with watching() as seen:
        yield
    if "may_unpickle" not in request.fixturenames:
        assert not seen.events, "\n".join(
            f"{event}\n{stack}" for event, stack in zip(seen.events, seen.stacks, strict=True)
        )
