"""The links of a step's task instance: its job's page, and the folder in which its attempt's files lie."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

JOB_LINK: Final = "mlx_job_link"
FOLDER_LINK: Final = "mlx_folder_link"


class _StepLink(BaseOperatorLink):
    """
    A URL that the worker learned when it submitted or adopted the job.

    Airflow 3 asks in the task's own process, where the operator knows; asking XCom there for what was never pushed
    would log an error into every task. Airflow 2 asks in the web server.
    """

    key: ClassVar[str]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The URL; empty if there is none."""
        known = getattr(operator, "link_urls", None)
        if known is not None:
            return str(known.get(self.key) or "")
        return XCom.get_value(key=self.key, ti_key=ti_key) or ""


class JobLink(_StepLink):
    """Opens the job's page, where the backend has one."""

    name = "Job"
    key = JOB_LINK


class FolderLink(_StepLink):
    """Opens the attempt's folder in the artifact store's own console, where the stack says how (``browse``)."""

    name = "Files"
    key = FOLDER_LINK
