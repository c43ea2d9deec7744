"""One list of objects, kept as it is in the cluster: list, then watch; source: "Efficient detection of changes"."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError

from .client import KubernetesClient, Lines, Refused

WATCH_SECONDS: Final = 50
"""How long one watch lasts; the server ends it, and the next one goes on where it was."""
SILENCE_SECONDS: Final = 60.0
"""A watch that says nothing for longer than it should last is dead: a firewall has forgotten it."""
PAGE: Final = 500
STOP_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 30.0

Object = Mapping[str, Any]


class GoneError(Exception):
    """The server has forgotten the version that we were at (410): list again."""


class Watched:
    """
    Keeps the objects of a collection.

    :param selector: by label.
    :param news: told of every change; guards what is kept.
    :param prune: what of an object is kept.
    :param by_label: the label by whose values :meth:`of` finds objects.
    """

    def __init__(
        self, client: KubernetesClient, path: str, selector: str, news: threading.Condition, *,
        prune: Callable[[Object], dict[str, Any]], by_label: str = "",
    ) -> None:  # fmt: skip
        self._client = client
        self._path = path
        self._selector = selector
        self._news = news
        self._prune = prune
        self._label = by_label
        self._kept: dict[str, Object] = {}
        self._by_label: dict[str, dict[str, Object]] = {}
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._lines: Lines | None = None
        self._failure: MlxError | None = None
        self._listed = False
        self.changes = 0
        """Grows with every change."""

    @property
    def answered(self) -> bool:
        """Whether there was an answer, good or bad."""
        return self._listed or self._failure is not None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"mlx-watch {self._path}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread: its connection is its own."""
        self._stopped.set()
        if self._lines is not None:
            self._lines.end()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def check(self) -> None:
        """
        Whether what is kept may be believed.

        :raises BackendUnavailable: the last request gave no answer, or nothing was listed yet.
        """
        if self._failure is not None:
            raise self._failure
        if not self._listed:
            raise BackendUnavailable(f"{self._path} was not listed yet")

    def get(self, name: str) -> Object | None:
        """The object of a name."""
        return self._kept.get(name)

    def of(self, value: str) -> list[Object]:
        """The objects whose label has a value."""
        return list(self._by_label.get(value, {}).values())

    def _run(self) -> None:
        version, pause = "", 1.0
        while not self._stopped.is_set():
            try:
                version = self._watch(version or self._list())
                pause = 1.0
                self._say(None)
            except GoneError:
                version = ""
            except MlxError as error:
                self._say(error)
                self._stopped.wait(pause * random.uniform(0.75, 1.25))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # a bug must not end the watch in silence
                self._say(BackendUnavailable(f"the watch of {self._path} failed: {type(error).__name__}: {error}"))
                self._stopped.wait(LONGEST_PAUSE_SECONDS)
                version = ""

    def _say(self, failure: MlxError | None) -> None:
        with self._news:
            if (failure is None) is not (self._failure is None):
                self.changes += 1
            self._failure = failure
            self._news.notify_all()

    def _list(self) -> str:
        found: dict[str, Object] = {}
        asked: dict[str, Any] = {"labelSelector": self._selector, "limit": PAGE}
        while True:
            answer = self._client.get(self._path, **asked)
            if answer is None:
                raise BackendUnavailable(f"the cluster serves nothing under {self._path}")
            for item in answer.get("items") or ():
                found[item["metadata"]["name"]] = self._prune(item)
            if not (further := answer["metadata"].get("continue")):
                break
            asked["continue"] = further
        with self._news:
            self._kept, self._by_label = {}, {}
            for name, kept in found.items():
                self._keep(name, kept)
            self._listed, self._failure = True, None
            self.changes += 1
            self._news.notify_all()
        return str(answer["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """From a version on, until the server ends it; the version to go on from."""
        self._lines = lines = self._client.lines(
            self._path, read_seconds=SILENCE_SECONDS, watch="true", allowWatchBookmarks="true",
            labelSelector=self._selector, resourceVersion=version, timeoutSeconds=WATCH_SECONDS,
        )  # fmt: skip
        started = time.monotonic()
        try:
            for line in lines:
                if self._stopped.is_set():
                    break
                version = self._take(json.loads(line)) or version
        except Refused as refused:
            if refused.code == 410:
                raise GoneError from None
            raise BackendUnavailable(f"the watch of {self._path} was refused: {refused.message}") from None
        if time.monotonic() - started < 1.0:  # a proxy that ends every watch at once must not make us a busy loop
            self._stopped.wait(1.0)
        return version

    def _take(self, event: Mapping[str, Any]) -> str:
        """One event of the watch; the version that it brings us to."""
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise GoneError
            raise BackendUnavailable(f"the watch of {self._path} ended: {item.get('message')}")
        name = item["metadata"].get("name", "")
        with self._news:
            if kind == "DELETED":
                self._drop(name)
            elif kind != "BOOKMARK":
                self._keep(name, self._prune(item))
            if kind != "BOOKMARK":
                self.changes += 1
            if self._failure is not None:
                self._failure = None
                self.changes += 1
            self._news.notify_all()
        return str(item["metadata"]["resourceVersion"])

    def _keep(self, name: str, kept: Object) -> None:
        self._kept[name] = kept
        if value := (kept["metadata"].get("labels") or {}).get(self._label):
            self._by_label.setdefault(value, {})[name] = kept

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        value = (kept["metadata"].get("labels") or {}).get(self._label) if kept else None
        if value in self._by_label:
            self._by_label[value].pop(name, None)
            if not self._by_label[value]:
                del self._by_label[value]
