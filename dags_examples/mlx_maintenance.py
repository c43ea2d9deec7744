"""
Daily housekeeping: stop jobs that nobody waits for, remove what is old, send lineage that could not be sent.

Plain tasks: they ask Airflow about other runs through its own API. Local jobs and environments are those of the worker
that runs the tasks. Set the param `apply` to false to see in the logs what would be done.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"apply": True, "keep_days": 90, "keep_failed_days": 30},
    tags=["maintenance"],
)
def mlx_maintenance():
    @task
    def reap(params: dict) -> str:
        from airflow_provider_mlx.cli.tasks import run_in_task

        return run_in_task("reap", *(["--apply"] if params["apply"] else []))

    @task(trigger_rule="all_done")
    def gc(params: dict) -> str:
        from airflow_provider_mlx.cli.tasks import run_in_task

        keep = ["--keep-days", str(params["keep_days"]), "--keep-failed-days", str(params["keep_failed_days"])]
        return run_in_task("gc", *keep, *(["--apply"] if params["apply"] else []))

    @task
    def lineage_replay() -> str:
        from airflow_provider_mlx.cli.tasks import run_in_task

        return run_in_task("lineage-replay")

    reap() >> gc()
    lineage_replay()


mlx_maintenance()
