"""The image that a job's pods ran, by its digest: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .kinds import JobKind, main_container, rank_of
from .reading import maps, text

_DIGEST: Final = re.compile(r"(?:[a-z-]+://)?((?:[^@\s]+@)?sha256:[0-9a-f]{64})")
"""``imageID``: containerd writes ``repository@sha256:…``, Docker puts ``docker-pullable://`` before it."""


def image_digest(kind: JobKind, pods: Iterable[Mapping[str, Any]]) -> str:
    """Of the main container of the first rank's pod; empty where no kubelet has told it."""
    for pod in sorted(pods, key=lambda one: rank_of(kind, one)):
        name = main_container(kind, pod)
        for status in maps(pod, "status.containerStatuses"):
            found = _DIGEST.fullmatch(text(status, "imageID"))
            if text(status, "name") == name and found:
                return found[1]
    return ""
