"""The link from a task instance to its job's page in the backend's own console."""

from __future__ import annotations

from typing import Any, Final

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

LINK_KEY: Final = "mlx_job_link"


class JobLink(BaseOperatorLink):
    """Opens the job's page."""

    name = "Job"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """
        The URL that the worker learned when it submitted or adopted the job; empty if the backend has no page.

        Airflow 3 asks in the task's own process, where the operator knows; asking XCom there for what was never pushed
        would log an error into every task. Airflow 2 asks in the web server.
        """
        known = getattr(operator, "job_url", None)
        if known is not None:
            return str(known)
        return XCom.get_value(key=LINK_KEY, ti_key=ti_key) or ""
