"""What a finished job has left with SageMaker, on its way into the attempt's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.results import spoken
from airflow_provider_mlx.backends.outcomes import plain_result, record_outcome
from airflow_provider_mlx.runtime.protocol import ERROR_FILE, RESULT_FILE
from airflow_provider_mlx.runtime.records import ERROR_DEFAULTS
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import Dataset

from .channels import RESULTS, STAGING
from .iam import may_write
from .names import FAILURE_FILE
from .settings import Kind
from .status import WORDS, error_in

_FOLDER = "data/" + RESULTS["training"].rpartition("/")[2]
"""SageMaker puts ``/opt/ml/output/data/mlx`` below ``<job>/output/data/mlx``."""


class Leavings:
    """
    Brings one job's files; doing so twice changes nothing.

    :param job: SageMaker's description of it.
    """

    def __init__(self, store: ObjectStore, kind: Kind, job: Mapping[str, Any]) -> None:
        self._store = store
        self._kind: Kind = kind
        self._job = job
        self._words = WORDS[kind]

    def bring(self, status: JobStatus) -> None:
        """
        The files of a job without a client of S3; its error where that is all there is; its outcome where there was no
        runtime of ours in it.
        """
        if self._has_runtime and self._kind == "training":
            self._take_over()
        if status.state is State.SUCCEEDED and not self._has_runtime:
            self._create(RESULT_FILE, self._outcome())
        if status.state is not State.SUCCEEDED and (error := error_in(self._job)) is not None:
            self._create(ERROR_FILE, {**ERROR_DEFAULTS, **error})

    @property
    def _outputs(self) -> str:
        """The attempt's folder."""
        if self._kind == "training":
            return str(self._job["OutputDataConfig"]["S3OutputPath"]).rpartition(f"/{STAGING}")[0]
        return str(self._job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"])

    @property
    def _has_runtime(self) -> bool:
        return FAILURE_FILE in (self._job.get("Environment") or {})

    def _take_over(self) -> None:
        """
        Move what was left in the staging folder to where the job's references say that it is.

        The result comes last: whoever finds it finds everything else. Within S3, without a way through this process.
        """
        base = f"{join(self._outputs, STAGING, self._job[self._words.name], 'output', _FOLDER)}/"
        staged = [facts.uri for facts in self._store.list(base) if facts.uri.startswith(base)]
        names = sorted((uri.removeprefix(base) for uri in staged), key=lambda name: name == RESULT_FILE)
        for name in filter(may_write, names):  # Airflow may write more than the job, whose files these are
            self._store.copy(f"{base}{name}", join(self._outputs, name))
        for uri in staged:
            self._store.delete(uri)

    def _create(self, name: str, body: Mapping[str, Any]) -> None:
        record_outcome(self._store, self._outputs, name, body)

    def _outcome(self) -> dict[str, Any]:
        """What a container's own command has to say: its exit message, its model, the metrics of its log."""
        metrics = {one["MetricName"]: float(one["Value"]) for one in self._job.get("FinalMetricDataList") or ()}
        model = str((self._job.get("ModelArtifacts") or {}).get("S3ModelArtifacts") or "")
        value = (
            {"model": model, "metrics": metrics} if self._kind == "training" else spoken(self._job.get("ExitMessage"))
        )
        ended = self._words.started.replace("Start", "End")
        return plain_result(
            value, started=self._job.get(self._words.started), finished=self._job.get(ended), metrics=metrics,
            datasets={"written": [Dataset(model).to_wire()] if model else []},
        )  # fmt: skip
