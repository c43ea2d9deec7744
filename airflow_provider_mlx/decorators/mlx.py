"""``@task.mlx``: a plain function as a step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.operators.arguments import CONTEXT_NAMES, signature_problems, static_argument
from airflow_provider_mlx.operators.step import FunctionStepOperator, renamed_resources
from airflow_provider_mlx.step.return_types import return_type_problems, return_types, splits
from airflow_provider_mlx.step.source import slice_callable
from airflow_provider_mlx.version_compat import KNOWN_CONTEXT_KEYS, DecoratedOperator, TaskDecorator

if TYPE_CHECKING:
    from pathlib import PurePath

    from airflow.sdk.bases.decorator import Task

    from airflow_provider_mlx.step.resources import Resources

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class MlxDecoratedOperator(DecoratedOperator, FunctionStepOperator):
    """Runs the decorated function as a step; what can be wrong statically is refused while the DAG is parsed."""

    custom_operator_name = "@task.mlx"
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(
            name
            for name in FunctionStepOperator.template_fields
            if name not in ("entrypoint", "script", "source", "command", "arguments", "argv")
        ),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **FunctionStepOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_function(python_callable)
        super().__init__(
            python_callable=python_callable,
            op_args=static_argument(list(op_args or ())),
            op_kwargs=_with_context_names(python_callable, static_argument(dict(op_kwargs or {})), len(op_args or ())),
            **kwargs,
        )

    @staticmethod
    def xcom_push(context: Any, key: str, value: Any, execution_date: Any = None) -> None:
        """As every operator's in Airflow 2; Airflow 3.0's own decorator still asks for it."""
        context["ti"].xcom_push(key=key, value=value)


def check_function(function: Callable[..., Any]) -> None:
    """
    Refuse what is wrong with a step's function: its code, its parameters, its return type.

    :raises InvalidStep: all problems at once.
    """
    problems = signature_problems(function, airflow_names=KNOWN_CONTEXT_KEYS)
    try:
        cut = slice_callable(function)
    except InvalidStep as error:
        if not problems:
            raise
        raise InvalidStep(error.what, [*error.problems, *problems], where=error.where) from None
    problems += return_type_problems(return_types(function, cut))
    if problems:
        raise InvalidStep(f"step `{function.__name__}` cannot run as a job", problems, where=cut.origin)


class MlxTaskDecorator(TaskDecorator[Any, Any, Any]):
    """Airflow's own, for whom ``override(resources=…)`` means our resources."""

    def override(self, **kwargs: Any) -> Any:
        """A copy of the step with other settings."""
        return super().override(**renamed_resources(kwargs))


if TYPE_CHECKING:

    @overload
    def mlx_task(python_callable: Callable[Parameters, Result]) -> Task[Parameters, Result]: ...

    @overload
    def mlx_task(
        python_callable: None = None,
        *,
        multiple_outputs: bool | None = None,
        target: str | None = None,
        stack: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        requirements: Sequence[str] | str | PurePath | None = None,
        replace: Sequence[str] | None = None,
        wheelhouse: str | None = None,
        include: Sequence[str] | None = None,
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        skip_on_exit_code: int | Sequence[int] | None = None,
        preemptions: int | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> Callable[[Callable[Parameters, Result]], Task[Parameters, Result]]: ...


def mlx_task(python_callable: Any = None, *, multiple_outputs: bool | None = None, **kwargs: Any) -> Any:
    """
    Make a step of a function; the same as ``@task.mlx``, with types that editors see.

    :param multiple_outputs: split the result into one XCom per key or field; by default if the annotation is a
        mapping, or a class that names outputs: a named tuple, a ``TypedDict`` or a dataclass.

    The keyword arguments are those of :class:`~airflow_provider_mlx.operators.step.MlxStepOperator` and of every
    Airflow operator.
    """
    options = renamed_resources(kwargs)

    def decorate(function: Callable[..., Any]) -> Any:
        split = multiple_outputs if multiple_outputs is not None else _split(function)
        said = {} if split is None else {"multiple_outputs": split}
        return MlxTaskDecorator(
            function=function, operator_class=MlxDecoratedOperator, kwargs=dict(options), decorator_name="task.mlx",
            **said,
        )  # fmt: skip

    return decorate if python_callable is None else decorate(python_callable)


def _split(function: Callable[..., Any]) -> bool | None:
    """Whether the result is split into several outputs, where the annotation tells."""
    try:
        return splits(function, slice_callable(function))
    except InvalidStep:
        return None  # told when the step is called, with everything else that is wrong with it


def _with_context_names(function: Callable[..., Any], given: dict[str, Any], positional: int) -> dict[str, Any]:
    """Names that we fill and Airflow's decorator does not know (``map_index``, ``conf``), so that it lets them pass."""
    for index, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        ours = name in CONTEXT_NAMES and name not in KNOWN_CONTEXT_KEYS
        if ours and index >= positional and parameter.default is inspect.Parameter.empty:
            given.setdefault(name, None)
    return given
