"""What a job cost and for how long it held GPUs: pure, and only where the numbers are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import Usage
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.resources import Resources

from .custom_facets import PRODUCER, MlxCostRunFacet

CURRENCY: Final = "USD"
"""Of the prices that a target may have."""


def cost_facet(usage: Usage) -> MlxCostRunFacet | None:
    """Machines × their seconds × the stack's price; ``None`` where one of the three is not known."""
    if usage.seconds is None or usage.hourly_usd is None:
        return None
    amount = usage.machines * usage.seconds / 3600 * usage.hourly_usd
    counted = "s billable" if usage.billable else "s"
    return MlxCostRunFacet(
        amount=round(amount, 6), currency=CURRENCY, producer=PRODUCER,
        basis=f"{usage.machine} × {usage.machines} × {usage.seconds:g} {counted} "
        f"at {usage.hourly_usd:g} {CURRENCY}/h from the stack",
    )  # fmt: skip


def gpu_seconds(requested: Mapping[str, Any], compute: float | None) -> float | None:
    """
    For how long the step's code held GPUs.

    :param requested: ``Resources`` in wire form.
    :param compute: seconds that the code ran.
    """
    if compute is None or not requested.get("gpu"):
        return None
    try:
        asked = Resources.from_wire({key: requested[key] for key in ("gpu", "nodes") if key in requested})
        return round((asked.gpus.count if asked.gpus else 0) * int(asked.nodes or 1) * compute, 3)
    except (InvalidStep, ValueError, TypeError):
        return None
