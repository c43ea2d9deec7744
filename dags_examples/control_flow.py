"""A run that decides by what its steps found: skip from inside a job, branch on a metric, stop at a gate."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Metrics, MlxGate, MlxStepOperator


@dag(schedule=None, params={"rows": 500, "minimum": 0.6}, tags=["mlx", "example"])
def control_flow() -> None:
    """Six ways to go on, or not to."""

    # [START howto_skip]
    @task.mlx
    def new_rows(params: dict) -> int:
        """A job that finds nothing to do says so: its task and those that need its result are skipped."""
        from airflow_provider_mlx import current_step

        rows = int(params["rows"])
        if rows == 0:
            current_step.skip("no new rows since the last run")
        return rows

    # [END howto_skip]

    # [START howto_skip_on_exit_code]
    audit = MlxStepOperator(
        task_id="audit", script="audit.py", source="scripts/audit", argv=["--rows", "{{ params.rows }}"],
        skip_on_exit_code=99,
    )  # fmt: skip
    # [END howto_skip_on_exit_code]

    # [START howto_metrics]
    @task.mlx
    def evaluate(rows: int) -> Metrics:
        """What is annotated as ``Metrics`` is the step's result and its metrics."""
        return Metrics(accuracy=min(0.95, rows / 800), rows=rows)

    # [END howto_metrics]

    # [START howto_branch]
    @task.branch
    def choose(scores: dict) -> str:
        """An ordinary branch: small results of steps are ordinary values."""
        return "deepen" if scores["accuracy"] < 0.9 else "publish"

    # [END howto_branch]

    @task.mlx
    def deepen(scores: dict) -> Metrics:
        return Metrics(accuracy=scores["accuracy"] + 0.1)

    # [START howto_gate]
    gate = MlxGate(
        task_id="gate", metrics=evaluate(new_rows()), conditions=["accuracy >= {{ params.minimum }}", "rows > 100"]
    )
    # [END howto_gate]

    @task(trigger_rule="none_failed_min_one_success")
    def publish() -> str:
        return "published"

    # [START howto_short_circuit]
    @task.short_circuit
    def is_large(rows: int) -> bool:
        return rows > 10_000

    # [END howto_short_circuit]

    @task.mlx
    def large_report(rows: int) -> str:
        return f"{rows} rows"

    better, published = deepen(gate.output), publish()
    choose(gate.output) >> [better, published]
    better >> published
    rows = audit.output
    is_large(rows) >> large_report(rows)


control_flow()
