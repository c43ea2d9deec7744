"""
The XCom layout: what a step pushes.

==================  ==========================================================================================
``return_value``    the plain JSON value when it is JSON and small, else the artifact's reference
the output's name   with ``multiple_outputs``, the same for each output
``mlx_artifacts``   output name → reference, for all outputs; ``series`` holds what was logged with step numbers
``mlx_metrics``     metric name → last value, when the step logged any
``mlx_job_link``    the job's page, when the backend has one
``mlx_folder_link`` the attempt's folder in the artifact store's console, when the stack says how
==================  ==========================================================================================

Everything is plain JSON: no class of ours, so Airflow's allow-lists have nothing to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep
from airflow_provider_mlx.jobs.collection import Collected, CollectedOutput

ARTIFACTS_KEY: Final = "mlx_artifacts"
METRICS_KEY: Final = "mlx_metrics"
RETURN_VALUE: Final = "return_value"


def push_results(collected: Collected, ti: Any, *, mapped_over: bool, multiple_outputs: bool) -> Any:
    """
    Push the references and return what becomes ``return_value``.

    :raises InvalidStep: a task downstream maps over the result, or it is to be split, and it is not inline: a
        reference must never be taken for the dict or list that it refers to.
    """
    output = collected.outputs.get(RETURN_VALUE, CollectedOutput(None, inline=True))
    if not output.inline and (mapped_over or multiple_outputs):
        raise _not_inline(output, mapped_over=mapped_over)
    if multiple_outputs and not isinstance(output.value, Mapping):
        raise InvalidStep(
            f"`multiple_outputs` splits a dict, and the step returned a {type(output.value).__name__}",
            remedy="return a dict with text keys, or leave `multiple_outputs` out",
        )
    references = {name: item.artifact.to_wire() for name, item in collected.outputs.items() if item.artifact}
    _refuse_airflows(references, dict(collected.metrics), None if output.artifact else output.value)
    if references:
        ti.xcom_push(key=ARTIFACTS_KEY, value=references)
    if collected.metrics:
        ti.xcom_push(key=METRICS_KEY, value=dict(collected.metrics))
    if output.inline and not (output.artifact and _is_airflows(output.value)):
        return output.value
    return output.artifact.to_wire() if output.artifact else None


_MARKS: Final = frozenset({"__classname__", "__id__", "__type", "__var", "__data__", "__version__"})


def _is_airflows(value: Any) -> bool:
    """Whether Airflow would take something in a plain value for an object of its own when it reads the XCom."""
    if isinstance(value, Mapping):
        return not _MARKS.isdisjoint(value) or any(map(_is_airflows, value.values()))
    return isinstance(value, list) and any(map(_is_airflows, value))


def _refuse_airflows(*pushed: Any) -> None:
    """Refuse what only a forged result holds: the runtime writes no such names, and a value has an artifact."""
    if any(map(_is_airflows, pushed)):
        raise ArtifactError(
            "the result holds names by which Airflow would make objects of plain JSON "
            f"({', '.join(sorted(_MARKS))}), and was not pushed",
            remedy="rename them in the step; if it has none, somebody wrote to the artifact root",
        )


def _not_inline(output: CollectedOutput, *, mapped_over: bool) -> InvalidStep:
    size = f"{output.artifact.size:,} bytes as `{output.artifact.codec}`" if output.artifact else "not plain JSON"
    use = "a task downstream maps over the result" if mapped_over else "the result is split by `multiple_outputs`"
    return InvalidStep(
        f"{use}, and it is not small plain JSON ({size})",
        remedy="return a list of small values (ids, URIs, parameters), or raise `[mlx] inline_kilobytes`",
    )
