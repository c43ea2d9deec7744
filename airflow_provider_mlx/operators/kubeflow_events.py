"""What a run of a pipeline tells in the events of its task's outlets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_mlx.runtime.uris import normalize
from airflow_provider_mlx.runtime.values import DATASET_TAG, TAG

from .assets import names_of


def tell_run(outlets: Sequence[Any], run: Mapping[str, Any], outputs: Mapping[str, Any], events: Any) -> None:
    """
    Let the events of a task's outlets say which run it was, and where its named outputs lie.

    An outlet with the URI of an output, or with its name, is told of this one: ``AssetArtifact`` takes it from there.
    An alias names no data and is left alone.

    :param run: what every event says, as ``run_id`` and ``pipeline``.
    :param outputs: name → value; those that lie somewhere are references by URI.
    :param events: the task's ``outlet_events``.
    """
    found = {name: list(_datasets(value)) for name, value in outputs.items()}
    uris = {name: _uris(some) for name, some in found.items() if some}
    told = {**run, **({"outputs": uris} if uris else {})}
    for asset in outlets:
        if not names_of(asset)[1]:
            continue
        events[asset].extra.update(told)
        if (own := _own(asset, found)) is not None:
            events[asset].extra.update({"uri": own["uri"], "version": own.get("version")})


def _own(asset: Any, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Mapping[str, Any] | None:
    name, uri = names_of(asset)
    for one in (one for some in found.values() for one in some):
        if _same(str(one["uri"]), uri):
            return one
    named = found.get(name) or ()
    return named[0] if len(named) == 1 else None


def _datasets(value: Any) -> Iterator[Mapping[str, Any]]:
    """References by URI in an output: one, or a list of them."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping) and one.get(TAG) == DATASET_TAG:
            yield one


def _uris(datasets: Sequence[Mapping[str, Any]]) -> str | list[str]:
    uris = [str(one["uri"]) for one in datasets]
    return uris[0] if len(uris) == 1 else uris


def _same(one: str, other: str) -> bool:
    try:
        return normalize(one).rstrip("/") == normalize(other).rstrip("/")
    except ValueError:
        return False
