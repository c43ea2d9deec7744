"""``mlx_stack_param``: the trigger form's choice of a stack."""

from __future__ import annotations

import inspect
from typing import Any

from airflow.providers.common.compat.sdk import Param

from airflow_provider_mlx.stacks.params import stack_param


def mlx_stack_param(*names: str, default: str | None = None) -> Any:
    """
    A ``Param`` for ``params={"mlx_stack": …}``: a run that is triggered with another value runs on that stack.

    :param names: the stacks to offer; without any, those of the ``mlx_stacks.yaml`` beside the DAG file.
    :param default: the stack chosen at first; ``None`` leaves the choice to ``[mlx] stack`` and the file's ``default``.
    :raises InvalidStep: there is nothing to offer, or ``default`` is not among it.
    """
    caller = inspect.stack(context=0)[1].filename if not names else None
    declared = stack_param(*names, default=default, dag_file=caller)
    return Param(declared.pop("default"), **declared)
