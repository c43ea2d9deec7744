"""
From our exceptions to Airflow's, by what they ask for.

The raised class is both: ``except StepFailed`` and ``except AirflowException`` catch it, and
``context["exception"]`` in a callback has ``reason``, ``url`` and ``attempt``.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_mlx.exceptions import Disposition, MlxError


def as_airflow_error(error: MlxError) -> AirflowException:
    """The same error, as one that Airflow retries or fails at once."""
    base = AirflowFailException if error.disposition is Disposition.FAIL_FAST else AirflowException
    kind = type(error)
    joined: Any = type(kind.__name__, (kind, base), {"__doc__": kind.__doc__, "__module__": kind.__module__})
    raised: AirflowException = joined.__new__(joined)
    raised.__dict__.update(error.__dict__)
    raised.args = (str(error),)
    raised.__cause__ = error.__cause__
    return raised
