"""
From our exceptions to Airflow's, by what they ask for.

The raised class is both: ``except StepFailed`` and ``except AirflowException`` catch it, and
``context["exception"]`` in a callback has ``reason``, ``url`` and ``attempt``.
"""

from __future__ import annotations

from functools import cache

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from ..exceptions import Disposition, MlxError


def as_airflow_error(error: MlxError) -> AirflowException:
    """The same error, as one that Airflow retries or fails at once."""
    base = AirflowFailException if error.disposition is Disposition.FAIL_FAST else AirflowException
    raised: AirflowException = _joined(type(error), base).__new__(_joined(type(error), base))
    raised.__dict__.update(error.__dict__)
    raised.args = (str(error),)
    raised.__cause__ = error.__cause__
    return raised


@cache
def _joined(kind: type[MlxError], base: type[Exception]) -> type:
    return type(kind.__name__, (kind, base), {"__doc__": kind.__doc__, "__module__": kind.__module__})
