"""``AssetArtifact``: an argument that waits for what an asset's event carries. Light: DAG files import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.runtime.values import TAG

EVENT_TAG: Final = "asset-event/1"


@dataclass(frozen=True)
class AssetArtifact:
    """
    As an argument: what the asset's event carries, an artifact of a step or the asset's own data by reference.

    ::

        churn = Asset("s3://lake/churn.parquet")

        @dag(schedule=[churn])
        def retrain():
            train(AssetArtifact(churn))

    The last of the events that triggered the run; in a run that was started by hand, the last event at all, if the
    asset is among the task's ``inlets``.

    :param every: all triggering events, oldest first, as a list.
    """

    asset: Any
    every: bool = False

    def to_wire(self) -> dict[str, Any]:
        """The plain JSON that stands for this in the operator's fields, until the run is known."""
        name, uri = names_of(self.asset)
        return {TAG: EVENT_TAG, "name": name, "uri": uri, "every": self.every}

    def serialize(self) -> dict[str, Any]:
        """Airflow shows and stores template fields by this method."""
        return self.to_wire()


def names_of(asset: Any) -> tuple[str, str]:
    """An asset's name and URI; Airflow 2 calls assets datasets and gives them a URI only, at times as a text."""
    uri = asset if isinstance(asset, str) else str(getattr(asset, "uri", "") or "")
    return str(getattr(asset, "name", "") or uri), uri
