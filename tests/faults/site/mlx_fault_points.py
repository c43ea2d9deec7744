"""
Stops a worker's process at a chosen write of the ledger, so that a crash there is neither a matter of luck nor of
test code in the product: the store's ``create`` is wrapped when its module is imported.

``{folder}/{run id}.json`` arms a point: ``{"object": "handle.json", "when": "before"}``. The first process that gets
there takes it, writes its pid to ``{run id}.held`` and sends itself SIGSTOP. What happens then is the driver's matter.

``{folder}/{run id}.unreachable`` makes every call about this run fail as one whose answer never came.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

STORE = "airflow_provider_mlx.artifacts.store"
VERBS = ("read", "facts", "create", "write", "replace", "upload", "download")


def install(folder: str) -> None:
    """Wrap the store's class as soon as somebody imports it."""
    sys.meta_path.insert(0, _AfterImport(STORE, lambda module: wrap(module.ObjectStore, Path(folder))))


def wrap(store: Any, folder: Path) -> None:
    """Let points hold ``create``, and let the flag make all verbs unreachable."""
    for verb in VERBS:
        setattr(store, verb, _reachable(getattr(store, verb), folder))
    create = store.create

    def held_create(self: Any, uri: str, data: bytes) -> bool:
        hold(folder, uri, "before")
        created: bool = create(self, uri, data)
        hold(folder, uri, "after")
        return created

    store.create = held_create


def hold(folder: Path, uri: str, when: str) -> None:
    """Stop this process if a point is armed for this object; the first one to come takes it."""
    name = uri.rpartition("/")[2]
    for armed in folder.glob("*.json"):
        try:
            point = json.loads(armed.read_text())
        except (OSError, ValueError):
            continue
        if f"/{armed.stem}/" not in uri or point["when"] != when or not name.startswith(point["object"]):
            continue
        try:
            armed.rename(armed.with_suffix(".taken"))
        except FileNotFoundError:
            continue
        draft = armed.with_suffix(".draft")
        draft.write_text(str(os.getpid()))
        draft.rename(armed.with_suffix(".held"))
        os.kill(os.getpid(), signal.SIGSTOP)


def _reachable(verb: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    def call(self: Any, uri: Any, *args: Any, **kwargs: Any) -> Any:
        if any(f"/{flag.stem}/" in str((uri, *args)) for flag in folder.glob("*.unreachable")):
            from airflow_provider_mlx.exceptions import BackendUnavailable

            raise BackendUnavailable(f"the artifact store gave no answer for {uri}: it is made unreachable")
        return verb(self, uri, *args, **kwargs)

    return call


class _AfterImport(importlib.abc.MetaPathFinder):
    """Runs a function on one module, when it has been imported."""

    def __init__(self, name: str, act: Callable[[ModuleType], None]) -> None:
        self._name, self._act, self._busy = name, act, False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self._act)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, act: Callable[[ModuleType], None]) -> None:
        self._loader, self._act = loader, act

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._act(module)
