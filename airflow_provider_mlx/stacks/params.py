"""The ``mlx_stack`` param: how the trigger form switches a whole run to another stack."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks.stack import BUILT_IN

PARAM_NAME: Final = "mlx_stack"
_DESCRIPTION: Final = "The stack that the run's steps use: where they run, and where their artifacts live."


def stack_param(
    *names: str,
    default: str | None = None,
    dag_file: str | Path | None = None,
    bundle_root: str | Path | None = None,
) -> dict[str, Any]:
    """
    What ``Param(**…)`` needs to offer stacks in the trigger form.

    :param names: the stacks to offer; without any, those of the ``mlx_stacks.yaml`` that ``dag_file`` sees.
    :param default: the stack chosen at first; ``None`` leaves the choice to ``[mlx] stack`` and the file's
        ``default``, and the form offers an empty entry for it.
    :raises InvalidStep: there is nothing to offer, or ``default`` is not among it.
    """
    offered = tuple(dict.fromkeys(names)) or _names_beside(dag_file, bundle_root)
    if default is not None and default not in offered:
        problem = Problem(what=f"`{default}` is not among the offered stacks", remedy="add it to the names")
        raise InvalidStep(f"the param `{PARAM_NAME}` cannot be declared", [problem])
    return {
        "default": default,
        "type": "string" if default is not None else ["string", "null"],
        "enum": [*offered] if default is not None else [None, *offered],
        "title": "Stack",
        "description_md": _DESCRIPTION,
    }


def declared_stack_param(declared_params: Container[str], value: object) -> str | None:
    """
    The run's choice of a stack, where its DAG declares the param; anything else in a run's conf does nothing.

    :param declared_params: the DAG's params, by name.
    :param value: what the run says.
    :raises InvalidStep: the DAG declares the param, and the value is not the name of a stack.
    """
    if PARAM_NAME not in declared_params or value is None or value == "":
        return None
    if not isinstance(value, str):
        what = f"the run's `{PARAM_NAME}` is a {type(value).__name__}, not the name of a stack"
        problem = Problem(what=what, remedy="trigger the run with a stack's name", field=PARAM_NAME)
        raise InvalidStep("the run's stack cannot be used", [problem])
    return value


def _names_beside(dag_file: str | Path | None, bundle_root: str | Path | None) -> tuple[str, ...]:
    if dag_file is None:
        problem = Problem(
            what="no stack is named, and no DAG file to find them from",
            remedy='say stack_param("dev", "prod") or stack_param(dag_file=__file__)',
        )
        raise InvalidStep(f"the param `{PARAM_NAME}` cannot be declared", [problem])
    from airflow_provider_mlx.stacks.files import find_bundle_file, stack_names

    found = find_bundle_file(dag_file, bundle_root)
    names = stack_names(found)[0] if found is not None else ()
    return names or (BUILT_IN,)
