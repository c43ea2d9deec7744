"""What every operator is that runs a job: begin or adopt, leave the slot and come back, stop, tell of its lineage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider_mlx.exceptions import MlxError
from airflow_provider_mlx.links.step import FolderLink, JobLink

from .failures import as_airflow_error

if TYPE_CHECKING:
    from airflow_provider_mlx.stacks import ResolvedStep, Stacks
    from airflow_provider_mlx.step.definition import StepDefinition


class MlxJobOperator(BaseOperator):
    """
    Runs one job per task instance; a subclass says which, and where.

    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param target: the logical target in the stack.
    :param deferrable: whether the task leaves its worker slot while its job runs; by default ``[mlx] deferrable``.
    :param skip_on_exit_code: exit codes by which what runs says that its task, and what depends on it, are skipped.
    :param preemptions: further attempts within one try after the backend took the job away.
    """

    operator_extra_links = (JobLink(), FolderLink())
    collected: Any = None
    """The result, in the process that collected it."""
    ui_color = "#e6f0fa"

    def __init__(
        self,
        *,
        stack: str | None = None,
        target: str | None = None,
        deferrable: bool | None = None,
        skip_on_exit_code: int | Sequence[int] | None = None,
        preemptions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stack = stack
        self.target = target
        self.deferrable = deferrable
        self.skip_on_exit_code = [skip_on_exit_code] if isinstance(skip_on_exit_code, int) else skip_on_exit_code or []
        self.preemptions = preemptions
        self._killed: threading.Event | None = None

    # --- what runs, and where ----------------------------------------------------------------------------------------

    def resolve_on(self, stacks: Stacks, stack: str, ti: Any, *, why: str) -> ResolvedStep:
        """
        The targets of this task on a stack.

        :param why: the stack was chosen.
        :raises InvalidStep: the stack has none that can run it.
        """
        raise NotImplementedError

    def outline(self) -> StepDefinition:
        """What further attempts within a try need of the definition, besides what an attempt before recorded."""
        raise NotImplementedError

    def definition(self, context: Mapping[str, Any], root: str | None) -> StepDefinition:
        """
        Everything that does not depend on the stack.

        :param root: the DAG bundle's folder.
        :raises InvalidStep: something of it cannot travel.
        """
        raise NotImplementedError

    # --- its life ----------------------------------------------------------------------------------------------------

    def execute(self, context: Any) -> Any:
        """Run the job to its end and return its result; the artifacts' references go to ``mlx_artifacts``."""
        from airflow_provider_mlx.operators.execution import begin_step  # heavy: not while a DAG is parsed

        return self._as_airflow(context, begin_step)

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        """
        Go on after the trigger has fired.

        :param event: what :class:`~airflow_provider_mlx.triggers.job.JobTrigger` fired.
        """
        from airflow_provider_mlx.operators.execution import resume_step

        return self._as_airflow(context, resume_step, event=event)

    def _as_airflow(self, context: Any, act: Callable[..., Any], **arguments: Any) -> Any:
        self._killed = threading.Event()
        self.link_urls: dict[str, str] = {}
        try:
            return act(self, context, killed=self._killed, **arguments)
        except MlxError as error:
            code = getattr(error, "exit_code", None)
            if code is not None and code in self.skip_on_exit_code:
                self.log.info("mlx: the step ended with exit code %s, by which it asks to be skipped", code)
                raise AirflowSkipException(f"the step ended with exit code {code}") from None
            if not (error.where or error.job):
                error.job = f"step `{self.task_id}` of `{context['dag'].dag_id}`"
            raise as_airflow_error(error) from error.__cause__

    def on_kill(self) -> None:
        """Airflow wants this task to end. Called in a signal handler: ``execute`` does the rest (``jobs/life.py``)."""
        if self._killed is not None:
            self._killed.set()

    # --- what the OpenLineage provider asks for the task's own events ------------------------------------------------

    def get_openlineage_facets_on_start(self) -> Any:
        """The task's inputs, with its inlets."""
        from airflow_provider_mlx.lineage.operator_facets import on_start

        return on_start(self)

    def get_openlineage_facets_on_complete(self, ti: Any) -> Any:
        """What the step read and wrote, with inlets and outlets."""
        from airflow_provider_mlx.lineage.operator_facets import on_complete

        return on_complete(self, ti)

    def get_openlineage_facets_on_failure(self, ti: Any) -> Any:
        """What the step would have read and wrote."""
        from airflow_provider_mlx.lineage.operator_facets import on_failure

        return on_failure(self, ti)
