"""Whether a step leaves its worker slot, and what it leaves behind for the trigger and for its own return."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_mlx.jobs.ledger import utc_now
from airflow_provider_mlx.jobs.life import Waiting
from airflow_provider_mlx.settings import Settings
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.triggers.order import WatchOrder
from airflow_provider_mlx.version_compat import can_defer

if TYPE_CHECKING:
    from .job import MlxJobOperator

QUIET_SECONDS: Final = 6.0
"""No event fires sooner after a deferral; see :class:`~airflow_provider_mlx.triggers.order.WatchOrder`."""


def may_leave(operator: MlxJobOperator, settings: Settings) -> bool:
    """The step's own word, then the deployment's; never where a deferral cannot keep the promises."""
    wanted = settings.deferrable if operator.deferrable is None else operator.deferrable
    return wanted and can_defer()


def leave(
    waiting: Waiting, *, root: str, identity: TaskInstanceIdentity, artifacts_conn_id: str | None
) -> TaskDeferred:
    """What the operator raises; there is no timeout in it, since Airflow would fail the task without a word to us."""
    from airflow_provider_mlx.triggers.job import JobTrigger

    record = waiting.record
    order = WatchOrder(
        identity=identity, attempt=waiting.attempt, handle=waiting.handle, settings=record.settings,
        conn_id=record.conn_id, root=root, artifacts_conn_id=artifacts_conn_id, nonce=record.nonce,
        limits=waiting.limits, limit_seconds=record.limit_seconds, cursor=waiting.cursor,
        shown_lines=waiting.shown_lines, not_before=utc_now() + timedelta(seconds=QUIET_SECONDS),
    )  # fmt: skip
    return TaskDeferred(trigger=JobTrigger(order.to_wire()), method_name="execute_complete")
