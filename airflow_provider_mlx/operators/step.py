"""``MlxStepOperator``: runs a step as a job, on the backend that the stack names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.resources import Resources

from .arguments import by_name, fill_context, static_argument
from .job import MlxJobOperator
from .payloads import ShippedPayload, command_payload, entrypoint_payload, function_payload, script_payload

if TYPE_CHECKING:
    from airflow_provider_mlx.stacks import ResolvedStep, Stacks
    from airflow_provider_mlx.step.definition import StepDefinition

_PAYLOADS: Final = ("entrypoint", "script", "command")


class MlxStepOperator(MlxJobOperator):
    """
    Run a step where the stack says.

    One of ``entrypoint``, ``script`` and ``command`` says what runs; for a function in the DAG file use ``@task.mlx``.

    :param entrypoint: ``package.module:function``; found beside the DAG file, in the bundle, or in the image.
    :param script: a Python file, relative to ``source`` or to the DAG file's folder; gets ``argv``.
    :param source: a folder that travels with the script.
    :param command: a container's command, in ``image`` or in the target's; needs a backend that runs containers.
    :param arguments: the entry point's keyword arguments: plain JSON, datasets, results of other steps.
    :param argv: the script's arguments.
    :param target: the logical target in the stack.
    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param resources: the hardware that the step needs.
    :param requirements: packages to install besides those of the image: lines as in a requirements file, or the name
        of such a file beside the DAG file.
    :param replace: protected packages (torch, numpy, ``nvidia-*``, …) that the requirements may replace.
    :param wheelhouse: URI of a folder or archive of wheels, the only source of the requirements, instead of the
        target's.
    :param include: further local packages, modules, files or folders that travel with the code.
    :param image: the container's image, instead of the target's.
    :param env: plain environment variables.
    :param secrets: environment variable → logical name of a secret, which the target maps.
    :param overrides: per backend, settings of the target that this step overrides, as far as the policy allows.
    :param deferrable: whether the task leaves its worker slot while its job runs; by default `[mlx] deferrable`.
    :param skip_on_exit_code: exit codes by which what runs says that its task, and what depends on it, are to be
        skipped.
    :param preemptions: further attempts within one try after the backend took the job away.
    """

    template_fields: Sequence[str] = (
        "entrypoint", "script", "source", "command", "arguments", "argv", "target", "stack", "step_resources",
        "requirements", "wheelhouse", "image", "env", "secrets", "overrides",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "arguments": "json", "step_resources": "json", "env": "json", "overrides": "json",
    }  # fmt: skip
    custom_operator_name = "MlxStep"

    def __init__(
        self,
        *,
        entrypoint: str | None = None,
        script: str | None = None,
        source: str | None = None,
        command: Sequence[str] | None = None,
        arguments: Mapping[str, Any] | None = None,
        argv: Sequence[str] | None = None,
        target: str | None = None,
        stack: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        step_resources: Mapping[str, Any] | None = None,
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
    ) -> None:
        super().__init__(
            stack=stack, target=target, deferrable=deferrable, skip_on_exit_code=skip_on_exit_code,
            preemptions=preemptions, **kwargs,
        )  # fmt: skip
        self.entrypoint = entrypoint
        self.script = script
        self.source = source
        self.command = list(command) if command is not None else None
        self.arguments = static_argument(dict(arguments or {}))
        self.argv = list(argv or [])
        # BaseOperator has a `resources` of its own, which Airflow would store and read as its own kind of object
        self.step_resources = Resources.from_wire(resources or step_resources).to_wire()
        # A path is kept as text: Airflow stores operator fields with the DAG.
        self.requirements: str | list[str] = (
            str(requirements) if isinstance(requirements, (str, PurePath)) else list(requirements or [])
        )
        self.replace = list(replace or [])
        self.wheelhouse = wheelhouse
        self.include = list(include or [])
        self.image = image
        self.env = dict(env or {})
        self.secrets = dict(secrets or {})
        self.overrides = {name: dict(section) for name, section in (overrides or {}).items()}
        self._check_payload()

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As every operator's; ``resources`` goes under a name that Airflow does not read as its own."""
        return super().partial(**renamed_resources(kwargs))

    def resolve_on(self, stacks: Stacks, stack: str, ti: Any, *, why: str) -> ResolvedStep:
        """The targets of this step on a stack."""
        from airflow_provider_mlx.operators.execution import choice_of
        from airflow_provider_mlx.stacks import resolve_target

        return resolve_target(stacks, stack, choice_of(self, ti), why=why)

    def outline(self) -> StepDefinition:
        """The command, where that is what runs, and the names of the secrets."""
        from airflow_provider_mlx.step.definition import StepDefinition

        return StepDefinition(command=tuple(self.command) if self.command else None, secrets=self.secrets)

    def definition(self, context: Mapping[str, Any], root: str | None) -> StepDefinition:
        """Code, files, arguments and requirements."""
        from airflow_provider_mlx.operators.execution import definition_of

        return definition_of(self, context, root)

    # --- what runs; `@task.mlx` has another answer -------------------------------------------------------------------

    def shipped_payload(self, *, dag_file: str, root: str | None) -> ShippedPayload:
        """What travels to the job."""
        if self.entrypoint:
            return entrypoint_payload(self.entrypoint, dag_file=dag_file, root=root, include=self.include)
        if self.script:
            return script_payload(
                self.script, source=self.source, argv=self.argv, dag_file=dag_file, root=root, include=self.include
            )
        return command_payload(self.command or ())

    def call_arguments(self, context: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Positional and keyword arguments, rendered."""
        return (), dict(self.arguments)

    def _check_payload(self) -> None:
        given = [name for name in _PAYLOADS if getattr(self, name)]
        problems = []
        if len(given) != 1:
            what = f"it has {' and '.join(given)}" if given else "it says nothing to run"
            problems.append(
                Problem(what, f"give exactly one of {', '.join(_PAYLOADS)}; or decorate a function with @task.mlx")
            )
        if self.source and not self.script:
            problems.append(Problem("`source` goes with `script`", "use `include=` for an entry point's packages"))
        if self.argv and not self.script:
            problems.append(Problem("`argv` goes with `script`", "an entry point takes `arguments=`"))
        if self.arguments and not self.entrypoint:
            problems.append(Problem("`arguments` goes with `entrypoint`", "a script takes `argv=`"))
        if problems:
            raise InvalidStep(f"step `{self.task_id}` cannot be built", problems)


class FunctionStepOperator(MlxStepOperator):
    """The part of ``@task.mlx`` that is a step: a function and its arguments. ``decorators/mlx.py`` joins the rest."""

    python_callable: Callable[..., Any]
    op_args: Any
    op_kwargs: Any

    def shipped_payload(self, *, dag_file: str, root: str | None) -> ShippedPayload:
        """The function's slice, and the local modules that it imports."""
        return function_payload(self.python_callable, dag_file=dag_file, root=root, include=self.include)

    def call_arguments(self, context: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The call's arguments, with the context names that it left out."""
        args, kwargs = by_name(self.python_callable, self.op_args, self.op_kwargs)
        return args, fill_context(self.python_callable, kwargs, context, positional=len(args))

    def _check_payload(self) -> None:
        return


def renamed_resources(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments with ``resources`` as plain JSON under a name that Airflow does not take for its own."""
    renamed = dict(kwargs)
    if "resources" in renamed:
        renamed["step_resources"] = Resources.from_wire(renamed.pop("resources")).to_wire()
    return renamed
