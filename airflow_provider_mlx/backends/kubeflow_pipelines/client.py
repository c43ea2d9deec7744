"""
The v2beta1 API of Kubeflow Pipelines as a handful of verbs: dicts in, dicts out.

Sources: the published swagger (``backend/api/v2beta1/swagger/kfp_api_single_file.swagger.json``, 2.17.0), and what a
real server of 2.14.3 answers. Two things are not in the swagger: that a run's id may be given by who creates it, as in
all releases from 2.0 to 2.17, and the route of a pod's log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured, MlxError

from .access import GATEWAY_PREFIX, ServerAccess
from .answers import Conflict, Missing, Refused, refused
from .filters import equals, filter_text, one_of
from .transport import API, Transport

SETTLE_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
"""
How long a run is looked for whose creation was not answered. The server stores it after it has made the Workflow, well
within a second; a request that is cut off is either given up by the server or goes on to a run.
"""
PAGE: Final = 20
"""Runs per page: a row holds the whole pipeline and all its tasks, and large pages time out (issue 9780 of theirs)."""
_NO_LOG: Final = '{"error_message":'
"""How the body of a 200 begins where there is no log."""
_ENDING: Final = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "CANCELING"})


class KubeflowPipelinesClient:
    """
    One server; may be used by several threads.

    :param namespace: of the user, on a multi-user server: what is listed and made is there.
    """

    ids_per_question: ClassVar[int] = 100
    """Ids of runs in one filter: 4.5 KB of an address, of which gateways take 8."""

    def __init__(
        self, access: Callable[[], ServerAccess], *, namespace: str = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.namespace = namespace
        self.transport = Transport(access, sleep=sleep)
        self._sleep = sleep

    def close(self) -> None:
        """Close what is open."""
        self.transport.close()

    def health(self) -> dict[str, Any]:
        """
        ``tag_name``, ``commit_sha``, ``multi_user``: who answers here. Newer servers tell ``multi_user`` alone.

        :raises JobMisconfigured: nobody, but the API is there behind the gateway's prefix.
        """
        try:
            return self.transport.get("/healthz")
        except ConnectionRefused as nobody:
            try:
                self.transport.get(f"{GATEWAY_PREFIX}{API}/healthz")
            except MlxError:
                raise nobody from None
            raise JobMisconfigured(
                "the API of Kubeflow Pipelines is behind the gateway's prefix",
                remedy=f"add {GATEWAY_PREFIX} to the address in the connection",
            ) from None

    # --- runs ----------------------------------------------------------------------------------------------------

    def create_run(self, run: Mapping[str, Any], *, before_asking: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """
        Make a run, once, whatever happens to the answers; one that is there under its id is returned as it is.

        :param run: the body of ``POST /runs``, with ``run_id``.
        :param before_asking: called right before the request; it raises where it must not be made any more.
        :raises Refused: the server does not take it.
        :raises BackendUnavailable: it is not known whether it was made; ask again with the same id.

        The server makes the Workflow first and the row of the run second, so that a second request with the same id
        starts a second Workflow under it, answers 500, and leaves it running. So: look, ask once, and look again. Two
        processes that look at the same moment take turns (``turns.py``).
        """
        run_id = str(run["run_id"])
        if (there := self.find_run(run_id)) is not None:
            return there
        before_asking()
        try:
            made = self.transport.post("/runs", run)
        except (BackendUnavailable, Conflict) as error:
            return self.expect_run(run_id, error)
        except Missing as gone:  # what the run refers to
            raise refused(gone.what, 404, "look whether its experiment was deleted, and try again") from None
        if made.get("run_id") != run_id:
            self._undo(made)
            raise JobMisconfigured(
                f"the server gave the run the id {made.get('run_id')!r} instead of the one that was asked for, so that "
                "it could not be found again; it was deleted",
                remedy="use a server of Kubeflow Pipelines 2.0 to 2.17, and tell us which one this is",
            )
        return made

    def expect_run(self, run_id: str, error: Exception) -> dict[str, Any]:
        """
        A run that was asked for and may be there in a moment.

        :param error: why it is not known whether it was made.
        :raises BackendUnavailable: it is not there yet.
        """
        for pause in SETTLE_SECONDS:
            self._sleep(pause)
            if (found := self.find_run(run_id)) is not None:
                return found
        raise BackendUnavailable(
            f"it is not known whether the run {run_id} was made; it is not there yet: {error}"
        ) from None

    def find_run(self, run_id: str, *, full: bool = False) -> dict[str, Any] | None:
        """
        A run; ``None``: the server definitely has none of this id.

        :param full: with its tasks' inputs and outputs, where the server knows them; others pass the word over.
        """
        try:
            return self.transport.get(f"/runs/{_part(run_id)}", view="FULL" if full else None)
        except Missing:
            return None

    def list_runs(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        states: Sequence[str] = (),
        experiment_id: str = "",
        page_size: int = PAGE,
    ) -> Iterator[dict[str, Any]]:
        """
        Runs by id or state, the newest first.

        :param run_ids: ``None`` for all; none of them is no question.
        :param page_size: rows are large.
        """
        for some in [None] if run_ids is None else _parts(run_ids, self.ids_per_question):
            wanted = [*([one_of("run_id", some)] if some else []), *([one_of("state", states)] if states else [])]
            yield from self._list(
                "/runs", "runs", filter=filter_text(wanted), page_size=page_size, experiment_id=experiment_id,
                namespace="" if experiment_id else self.namespace, sort_by="created_at desc",
            )  # fmt: skip

    def count_runs(self, run_ids: Sequence[str]) -> int:
        """How many of these runs there are; one row travels."""
        found = 0
        for some in _parts(run_ids, self.ids_per_question):
            wanted = filter_text([one_of("run_id", some)])
            answer = self.transport.get("/runs", filter=wanted, page_size=1, namespace=self.namespace)
            found += int(answer.get("total_size") or len(answer.get("runs") or ()))
        return found

    def terminate_run(self, run_id: str) -> None:
        """
        Ask a run to stop; one that is over, stopping or absent is no error.

        The server says 400 "Row not found" of a run that is over. A run that was stopped ends as FAILED there.
        """
        try:
            self.transport.post(f"/runs/{_part(run_id)}:terminate", again=True)
        except Missing:
            return
        except Refused:
            run = self.find_run(run_id)
            if run is not None and run.get("state") not in _ENDING:
                raise

    def retry_run(self, run_id: str) -> None:
        """
        Have the failed tasks of a run that is over run again, under the same id.

        :raises Conflict: it is not over, or succeeded.
        """
        self.transport.post(f"/runs/{_part(run_id)}:retry")

    def delete_run(self, run_id: str) -> None:
        """Remove a run and its Workflow, running or not; absent is no error."""
        self._delete(f"/runs/{_part(run_id)}")

    def workflow_of(self, run_id: str) -> dict[str, Any] | None:
        """
        The Argo Workflow of a run as the server last saw it: the one place where the reasons of failures are.

        ``None`` where the server keeps none, or serves ``v1beta1`` no more.
        """
        try:
            told = self.transport.get(f"/apis/v1beta1/runs/{_part(run_id)}")
        except (Missing, Refused):
            return None
        text = (told.get("pipeline_runtime") or {}).get("workflow_manifest") or ""
        try:
            found = json.loads(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def pod_log(self, run_id: str, pod: str) -> str:
        """
        The log of a pod of a run; empty where the server has none.

        With upstream's own settings it is always empty: the server looks for the pod in no namespace, and for the
        archived log under another key than Argo uses. The pod's log in Kubernetes is the one to read.
        """
        try:
            text = self.transport.text(f"/apis/v1alpha1/runs/{_part(run_id)}/nodes/{_part(pod)}/log")
        except (Missing, Refused):
            return ""
        return "" if text.startswith(_NO_LOG) else text

    # --- experiments ---------------------------------------------------------------------------------------------

    def experiment_id(self, name: str) -> str:
        """The id of an experiment; it is made if there is none."""
        if found := self._experiment(name):
            return found
        body = {"display_name": name, **({"namespace": self.namespace} if self.namespace else {})}
        try:
            return str(self.transport.post("/experiments", body)["experiment_id"])
        except Conflict:  # somebody else was faster
            if found := self._experiment(name):
                return found
            raise

    def _experiment(self, name: str) -> str:
        """There is no route by name; a name is unique in its namespace."""
        wanted = filter_text([equals("display_name", name)])
        for one in self._list("/experiments", "experiments", filter=wanted, namespace=self.namespace):
            if one.get("display_name") == name:
                return str(one["experiment_id"])
        return ""

    # --- parts ---------------------------------------------------------------------------------------------------

    def _undo(self, made: Mapping[str, Any]) -> None:
        if made.get("run_id"):
            self.delete_run(str(made["run_id"]))

    def _delete(self, path: str, **params: Any) -> None:
        try:
            self.transport.delete(path, **params)
        except Missing:
            return

    def _list(self, path: str, items: str, **params: Any) -> Iterator[dict[str, Any]]:
        """
        All pages. A page token holds the filter and the order of its list: with a filter by ``IN`` beside it, the
        server says that the two do not match.
        """
        while True:
            answer = self.transport.get(path, **params)
            yield from answer.get(items) or ()
            if not answer.get("next_page_token"):
                return
            params = {**params, "filter": "", "sort_by": "", "page_token": answer["next_page_token"]}


def _parts(run_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (run_ids[start : start + size] for start in range(0, len(run_ids), size))


def _part(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")
