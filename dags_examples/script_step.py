"""A script with its folder as a step, and an entry point of a package beside this file."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import MlxStepOperator, Resources


@dag(schedule=None, tags=["mlx", "example"])
def script_step() -> None:
    """The two other kinds of payload that travel: a script, and ``package.module:function``."""
    count = MlxStepOperator(
        task_id="count",
        source="scripts/word_count",
        script="count.py",
        argv=["--text", "to be or not to be", "--run", "{{ run_id }}"],
        resources=Resources(cpu=1),
    )

    @task
    def most_frequent(counts: dict[str, int]) -> str:
        return max(sorted(counts), key=lambda word: counts[word])

    shout = MlxStepOperator(
        task_id="shout",
        entrypoint="example_package.words:shout",
        arguments={"word": most_frequent(count.output)},
    )

    @task
    def show(word: str) -> None:
        print(word)

    show(shout.output)


script_step()
