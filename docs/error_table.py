"""The page of errors, from their classes."""

from __future__ import annotations

import inspect
from typing import Any

from docstrings import table, text


def errors() -> str:
    """Every exception and what it asks for."""
    from airflow_provider_mlx import exceptions
    from airflow_provider_mlx.backends.kubeflow_pipelines.compile_errors import CompilationFailed
    from airflow_provider_mlx.backends.kubeflow_pipelines.compiling import SdkUnavailable

    kinds = [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.MlxError) and kind is not exceptions.MlxError
    ]
    head = ("class", "meaning", "what follows", "Airflow's class")
    return (
        "\n# Errors\n\nThe classes of `airflow_provider_mlx.exceptions`. What a task raises is the class named here "
        "and Airflow's at once, so `except StepFailed` and `except AirflowException` both catch it. In a callback, "
        '`context["exception"]` has `reason` (the class\'s name), `what`, `where`, `job`, `remedy`, `url`, `attempt` '
        "and `log_tail`. [Failures](../guides/failures.md) has examples.\n\n"
        + table(head, list(map(_error_row, kinds)))
        + "\nWhere a [Python file with pipelines](../guides/kubeflow-pipelines.md) is compiled, also:\n\n"
        + table(head, list(map(_error_row, (CompilationFailed, SdkUnavailable))))
    )


def _error_row(kind: Any) -> tuple[str, ...]:
    """A class, and what Airflow does about it."""
    from airflow_provider_mlx.exceptions import Disposition

    happens = {
        Disposition.RETRY: "Airflow's `retries` decide",
        Disposition.WAIT: "the worker waits until the deadline",
        Disposition.NEXT_ATTEMPT: "another attempt or target within the same try, then `retries`",
        Disposition.FAIL_FAST: "the task fails at once, `retries` are not spent",
    }
    return (
        f"`{kind.__name__}`",
        text((inspect.getdoc(kind) or "").split("\n")[0]),
        happens[kind.disposition],
        "`AirflowFailException`" if kind.disposition is Disposition.FAIL_FAST else "`AirflowException`",
    )
