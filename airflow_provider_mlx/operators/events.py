"""What an asset's event hands to a step, and what a step's outputs tell in one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.jobs.collection import Collected, CollectedOutput
from airflow_provider_mlx.runtime.uris import normalize
from airflow_provider_mlx.runtime.values import DATASET_TAG, TAG, Dataset

from .assets import EVENT_TAG, AssetArtifact, names_of
from .results import RETURN_VALUE

ARTIFACT_KEY: Final = "mlx_artifact"
"""Where an event's ``extra`` holds the whole reference, for :class:`AssetArtifact`."""

MAX_METRICS: Final = 100
"""In one event: ``extra`` is a row of Airflow's database."""

# --- from events to arguments ----------------------------------------------------------------------------------------


def fill_events(value: Any, context: Mapping[str, Any]) -> Any:
    """
    An argument in which every :class:`AssetArtifact` became what the run's events say.

    :raises InvalidStep: there is no event of an asset.
    """
    if isinstance(value, AssetArtifact):
        value = value.to_wire()
    if isinstance(value, dict):
        if value.get(TAG) == EVENT_TAG:
            return _from_events(value, context)
        return {key: fill_events(item, context) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(fill_events(item, context) for item in value)
    return value


def event_extras(wire: Mapping[str, Any], context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """
    What the events of an asset carry, oldest first: of those that triggered the run, else of the last one at all.

    :param wire: an :class:`AssetArtifact`'s.
    """
    events = _triggering(wire, context) or _latest_of_inlet(wire, context)
    return [dict(getattr(event, "extra", None) or {}) for event in events]


def _from_events(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    extras = event_extras(wire, context)
    if not extras:
        raise InvalidStep("an argument waits for an asset's event", [Problem(
            f"no event of the asset `{wire['name']}` triggered this run",
            "let the asset trigger the DAG (`schedule=[asset]`), or add it to the task's `inlets=` to take its last "
            "event in runs that are started by hand",
        )])  # fmt: skip
    values = [_carried(extra, str(wire["uri"])) for extra in extras]
    return values if wire.get("every") else values[-1]


def _carried(extra: Mapping[str, Any], uri: str) -> dict[str, Any]:
    artifact, version = extra.get(ARTIFACT_KEY), extra.get("version")
    if isinstance(artifact, Mapping) and TAG in artifact:
        return dict(artifact)  # checked like every reference: by its form, the stack's prefixes, its producer's ledger
    where = extra.get("uri")
    place = where if isinstance(where, str) and where else uri
    return Dataset(place, version if isinstance(version, str) else None).to_wire()


def _triggering(wire: Mapping[str, Any], context: Mapping[str, Any]) -> list[Any]:
    known = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    events = [event for asset, found in known.items() if _is(asset, wire) for event in found]
    return sorted(events, key=lambda event: str(getattr(event, "timestamp", "")))


def _latest_of_inlet(wire: Mapping[str, Any], context: Mapping[str, Any]) -> list[Any]:
    inlets = getattr(context["ti"].task, "inlets", None) or ()
    inlet = next((item for item in inlets if _is(item, wire)), None)
    if inlet is None:
        return []
    try:
        return [context["inlet_events"][inlet][-1]]
    except (IndexError, KeyError):
        return []


def _is(asset: Any, wire: Mapping[str, Any]) -> bool:
    name, uri = names_of(asset)
    return bool(uri) and (uri == wire["uri"] or name == wire["name"])


# --- from outputs to events ------------------------------------------------------------------------------------------


def tell_outlets(outlets: Sequence[Any], collected: Collected, events: Any) -> None:
    """
    Let the events of a step's outlets say what the step made.

    An outlet is told of the dataset with its URI that the step returned, else of the output with its name, else, where
    it is the only outlet, of the step's result. An alias names no data and is left alone.

    :param events: the task's ``outlet_events``.
    """
    assets = [outlet for outlet in outlets if names_of(outlet)[1]]
    for asset in assets:
        output = _output_for(asset, collected.outputs, alone=len(assets) == 1)
        if output is not None:
            events[asset].extra.update(_extra(output, collected.metrics))


def _output_for(asset: Any, outputs: Mapping[str, CollectedOutput], *, alone: bool) -> CollectedOutput | None:
    name, uri = names_of(asset)
    for output in outputs.values():
        if (dataset := _dataset(output)) and _same(dataset["uri"], uri):
            return output
    for key, output in outputs.items():
        if key != RETURN_VALUE and (name == key or (output.artifact is not None and output.artifact.name == name)):
            return output
    return outputs.get(RETURN_VALUE) if alone else None


def _extra(output: CollectedOutput, metrics: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }
    extra: dict[str, Any] = {"metrics": dict(sorted(numbers.items())[:MAX_METRICS])} if numbers else {}
    if dataset := _dataset(output):
        return {**extra, "uri": dataset["uri"], "version": dataset.get("version")}
    if output.artifact is None:
        return extra
    it = output.artifact
    return {
        **extra, "uri": it.uri, "version": it.version, "sha256": it.sha256, "size": it.size, "type": it.type,
        ARTIFACT_KEY: it.to_wire(),
    }  # fmt: skip


def _dataset(output: CollectedOutput) -> Mapping[str, Any] | None:
    value = output.value
    return value if isinstance(value, Mapping) and value.get(TAG) == DATASET_TAG else None


def _same(one: Any, other: str) -> bool:
    try:
        return normalize(str(one)).rstrip("/") == normalize(other).rstrip("/")
    except ValueError:
        return False


def metrics_of_events(extras: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The metrics that the last event carries; ``None`` if no event does."""
    found = [extra["metrics"] for extra in extras if isinstance(extra.get("metrics"), Mapping)]
    return dict(found[-1]) if found else None
