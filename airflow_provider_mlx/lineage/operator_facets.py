"""
What Airflow's own events of the task say: the same datasets as the child run's, and the task's inlets and outlets.

The provider calls an operator's facet methods around ``execute``, in a process forked from the worker's or in a thread.
There neither XCom can be asked (two processes on one socket to the supervisor: it hangs, and the event is lost) nor the
ledger be read (a store's client does not survive a fork). So outputs come from the operator itself: the process that
collects a result, in its first slice or after a deferral, is the one that tells of it. Once a method returns any
dataset, the provider ignores inlets and outlets, and they are merged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openlineage.client.event_v2 import InputDataset, OutputDataset

from airflow_provider_mlx.jobs.collection import Collected
from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset

from .datasets import as_input, as_output, traffic, unique
from .facets import metrics_facet

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

D = TypeVar("D", InputDataset, OutputDataset)

_ARGUMENTS: Final = ("op_args", "op_kwargs", "arguments")
"""The operators' fields that hold what a step is called with, rendered when the methods are called."""


def on_start(operator: Any) -> OperatorLineage[Any, Any]:
    """Before ``execute``: what the step is about to read."""
    return _lineage(operator, [], {}, None, outlets=False)


def on_complete(operator: Any, ti: Any) -> OperatorLineage[Any, Any]:
    """After success: what it read and wrote."""
    collected: Collected | None = getattr(operator, "collected", None)
    if collected is None:
        return _lineage(operator, [], {}, None)
    made = [output.artifact for output in collected.outputs.values() if output.artifact is not None]
    reported = collected.result.get("datasets") or {}
    return _lineage(operator, made, reported, (ti.dag_id, ti.task_id), metrics=collected.metrics)


def on_failure(operator: Any, ti: Any) -> OperatorLineage[Any, Any]:
    """After a failure: what it was to read. What it may have written was not collected and counts for nothing."""
    return _lineage(operator, [], {}, None, outlets=False)


def _lineage(
    operator: Any, made: list[ArtifactReference], reported: Mapping[str, Any], task: tuple[str, str] | None, *,
    outlets: bool = True, metrics: Mapping[str, Any] | None = None,
) -> OperatorLineage[Any, Any]:  # fmt: skip
    from airflow.providers.openlineage.extractors import OperatorLineage

    arguments = [getattr(operator, name, None) for name in _ARGUMENTS]
    found = traffic(arguments, outputs=made, reported=reported, task=task)
    declared_in = _declared(getattr(operator, "inlets", None) or (), InputDataset)
    declared_out = _declared(getattr(operator, "outlets", None) or (), OutputDataset) if outlets else []
    facet = metrics_facet(metrics or {})
    return OperatorLineage(
        inputs=list(unique([*found.inputs, *declared_in])),
        outputs=list(unique([*found.outputs, *declared_out])),
        run_facets={"mlx_metrics": facet} if facet else {},
    )


def _declared(lets: Iterable[Any], kind: type[D]) -> list[D]:
    """
    Inlets or outlets as datasets: assets and Airflow 2's datasets by their URI, OpenLineage's own as they are.

    An alias has no URI of its own and is left to the provider's asset events.
    """
    datasets: list[D] = []
    for item in lets:
        if hasattr(item, "namespace") and isinstance(getattr(item, "name", None), str) and hasattr(item, "facets"):
            datasets.append(kind(item.namespace, item.name, facets=dict(item.facets or {})))
            continue
        uri = getattr(item, "uri", None) or getattr(item, "url", None)
        if not isinstance(uri, str):
            continue
        made: Any = as_input(Dataset(uri)) if kind is InputDataset else as_output(Dataset(uri))
        if made is not None:
            datasets.append(made)
    return datasets
