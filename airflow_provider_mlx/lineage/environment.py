"""The facets of what a job ran in and what it told of; pure. What a job says of itself is checked before it leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from .custom_facets import PRODUCER, MlxEnvironmentRunFacet, MlxTrackerRunFacet
from .pages import page_address

MAX_VERSIONS: Final = 200
"""Distributions in one event."""
MAX_TRACKERS: Final = 10

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}")
"""A version, a platform, a distribution: anything else that stands there is no word of the runtime's."""
_DIGEST: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._:/-]{0,300}@)?sha256:[0-9a-f]{64}")

Mask = Callable[[str], str]


def environment_facet(said: Mapping[str, Any], image_digest: str | None = None) -> MlxEnvironmentRunFacet | None:
    """
    What a job ran in.

    :param said: ``environment`` of ``result.json`` or ``error.json``; empty where there is none.
    :param image_digest: of its image as it ran, where the backend tells it.
    """
    versions = said.get("versions")
    named = sorted(versions.items()) if isinstance(versions, Mapping) else []
    shown = {str(name): version for name, version in named if _is_word(name) and _is_word(version)}
    python, implementation, platform = (
        value if _is_word(value := said.get(key)) else None for key in ("python", "implementation", "platform")
    )
    packages = said.get("packages_sha256")
    digest = f"sha256:{packages}" if isinstance(packages, str) and re.fullmatch("[0-9a-f]{64}", packages) else None
    image = image_digest if image_digest and _DIGEST.fullmatch(image_digest) else None
    if not (python or platform or shown or digest or image):
        return None
    return MlxEnvironmentRunFacet(
        python=python, implementation=implementation, platform=platform, imageDigest=image, packagesDigest=digest,
        versions=dict(list(shown.items())[:MAX_VERSIONS]) or None, producer=PRODUCER,
    )  # fmt: skip


def tracker_facet(said: Any, mask: Mask) -> MlxTrackerRunFacet | None:
    """
    Where else the step's code has told of itself.

    :param said: ``trackers`` of ``result.json`` or ``error.json``.
    """
    runs = [
        {"kind": one["kind"], "id": one["id"]} | ({"url": url} if (url := _page(one.get("url"), mask)) else {})
        for one in (said if isinstance(said, list) else ())
        if isinstance(one, Mapping) and _is_word(one.get("kind")) and _is_word(one.get("id"))
    ]
    return MlxTrackerRunFacet(runs=runs[:MAX_TRACKERS], producer=PRODUCER) if runs else None


def _page(url: Any, mask: Mask) -> str | None:
    return page_address(mask(url)) if isinstance(url, str) else None


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
