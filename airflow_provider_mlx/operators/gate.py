"""``MlxGate``: lets a run go on only if metrics are good enough, by themselves or against a champion's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator

from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, Problem
from airflow_provider_mlx.runtime.values import TAG
from airflow_provider_mlx.runtime.wire import decode
from airflow_provider_mlx.step.conditions import Verdict, judge, parse_conditions

from .assets import EVENT_TAG, AssetArtifact
from .failures import as_airflow_error

ON_REFUSAL: Final = ("fail", "skip")
_MARKS: Final = {True: "✓", False: "✗", None: "–"}


class MlxGate(BaseOperator):
    """
    Pass if every condition holds; else fail, or skip what comes after.

    ::

        MlxGate(
            task_id="gate",
            metrics=evaluate(model, table),
            conditions=["accuracy >= 0.95", "loss <= champion.loss + 0.01"],
            champion=AssetArtifact(champion),
        )

    :param metrics: what a step returned as its metrics: a dict of numbers, or the reference to one.
    :param conditions: see :mod:`airflow_provider_mlx.step.conditions`; all must hold.
    :param champion: the metrics to compare with: a dict, a reference, or an :class:`AssetArtifact` whose event carries
        metrics. Without one (``None``, or no event yet), conditions on it hold.
    :param on_refusal: ``fail`` the task at once, or ``skip`` it and with it what depends on it.

    Returns the metrics, so that the next step can be given them.
    """

    template_fields: Sequence[str] = ("metrics", "conditions", "champion")
    ui_color = "#e6f0fa"
    custom_operator_name = "MlxGate"

    def __init__(
        self,
        *,
        metrics: Any,
        conditions: Sequence[str],
        champion: Any = None,
        on_refusal: str = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metrics = metrics
        self.conditions = [conditions] if isinstance(conditions, str) else list(conditions)
        self.champion = champion.to_wire() if isinstance(champion, AssetArtifact) else champion
        self.on_refusal = on_refusal
        self._check()

    def execute(self, context: Any) -> dict[str, float]:
        """Judge, say each verdict, and pass or refuse."""
        try:
            metrics = self._numbers(self.metrics, "metrics")
            verdicts = judge(parse_conditions(self.conditions), metrics, self._champion(context))
        except (InvalidStep, ArtifactError) as error:
            error.job = error.job or f"gate `{self.task_id}` of `{context['dag'].dag_id}`"
            raise as_airflow_error(error) from error.__cause__
        for verdict in verdicts:
            self.log.info("mlx: %s", _line(verdict))
        refused = [verdict for verdict in verdicts if verdict.held is False]
        if not refused:
            return metrics
        text = f"the gate `{self.task_id}` refuses: " + "; ".join(f"{v.condition.text} ({v.why})" for v in refused)
        raise AirflowSkipException(text) if self.on_refusal == "skip" else AirflowFailException(text)

    def _check(self) -> None:
        """What can be wrong while the DAG is parsed; templated conditions are read when they are rendered."""
        if self.on_refusal not in ON_REFUSAL:
            way = Problem(f"`{self.on_refusal}` is none of them", f"say one of {', '.join(ON_REFUSAL)}", "on_refusal")
            raise InvalidStep(f"gate `{self.task_id}` cannot be built", [way])
        written = [text for text in self.conditions if "{{" not in text]
        if written or not self.conditions:
            parse_conditions(written)

    def _champion(self, context: Any) -> dict[str, float] | None:
        said = self.champion
        if isinstance(said, Mapping) and said.get(TAG) == EVENT_TAG:
            from .events import event_extras, metrics_of_events  # heavy: not while a DAG is parsed

            said = metrics_of_events(event_extras(said, context))
        if said is None:
            self.log.info("mlx: there is no champion yet: conditions on it hold")
            return None
        return self._numbers(said, "champion")

    def _numbers(self, value: Any, field: str) -> dict[str, float]:
        if isinstance(value, Mapping) and isinstance(value.get(TAG), str):
            from .artifact import Artifact

            value = Artifact.of(value).load()
        try:
            return {str(name): float(number) for name, number in dict(decode(value)).items()}
        except (TypeError, ValueError) as error:
            raise InvalidStep(f"the gate's `{field}` are no metrics", [Problem(
                f"a {type(value).__name__} is no dict of numbers by name: {error}",
                "pass what a step returned as `Metrics` or as a dict of numbers",
            )]) from error  # fmt: skip


def _line(verdict: Verdict) -> str:
    return f"{_MARKS[verdict.held]} {verdict.condition.text}: {verdict.why}"
