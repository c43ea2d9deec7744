"""``MlxStepOperator``: runs a step as a job, on the backend that the stack names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, redact

from ..artifacts.credentials import open_store
from ..artifacts.store import Gate
from ..exceptions import InvalidStep, MlxError, Problem
from ..jobs.collection import Collected
from ..jobs.inputs import check_inputs
from ..jobs.ledger import AttemptRecord, Ledger
from ..jobs.life import StepLife
from ..jobs.plan import Planner
from ..links.job import JobLink
from ..settings import read_settings
from ..stacks import StepChoice, resolve_target
from ..step.definition import StepDefinition
from ..step.resources import Resources
from ..version_compat import bundle_root, has_mapped_dependants
from .arguments import fill_context, plain_params, static_argument, to_wire
from .failures import as_airflow_error
from .payloads import command_payload, entrypoint_payload, function_payload, script_payload
from .results import push_results
from .surroundings import (
    facts_of,
    identity_of,
    options_for,

    ports_for,
    read_stacks,
    refuse_unknown_section,
    stack_choice,
)

_PAYLOADS: Final = ("entrypoint", "script", "command")


class MlxStepOperator(BaseOperator):
    """
    Run a step where the stack says.

    One of ``entrypoint``, ``script`` and ``command`` says what runs; for a function in the DAG file use ``@task.mlx``.

    :param entrypoint: ``package.module:function``; found beside the DAG file, in the bundle, or in the image.
    :param script: a Python file, relative to ``source`` or to the DAG file's folder; gets ``argv``.
    :param source: a folder that travels with the script.
    :param command: a container's command; needs ``image`` and a backend that runs containers.
    :param arguments: the entry point's keyword arguments: plain JSON, datasets, results of other steps.
    :param argv: the script's arguments.
    :param target: the logical target in the stack.
    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param resources: the hardware that the step needs.
    :param requirements: packages to install besides those of the image, as in a requirements file.
    :param replace: protected packages (torch, numpy, …) that the requirements may replace.
    :param include: further local packages, modules, files or folders that travel with the code.
    :param image: the container's image, instead of the target's.
    :param env: plain environment variables.
    :param secrets: environment variable → logical name of a secret, which the target maps.
    :param overrides: per backend, settings of the target that this step overrides, as far as the policy allows.
    :param preemptions: further attempts within one try after the backend took the job away.
    """

    template_fields: Sequence[str] = (
        "entrypoint", "script", "source", "command", "arguments", "argv", "target", "stack", "step_resources",
        "requirements", "image", "env", "secrets", "overrides",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "arguments": "json", "step_resources": "json", "env": "json", "overrides": "json",
    }  # fmt: skip
    operator_extra_links = (JobLink(),)
    ui_color = "#e6f0fa"
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
        requirements: Sequence[str] | None = None,
        replace: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        preemptions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.entrypoint = entrypoint
        self.script = script
        self.source = source
        self.command = list(command) if command is not None else None
        self.arguments = static_argument(dict(arguments or {}))
        self.argv = list(argv or [])
        self.target = target
        self.stack = stack
        # BaseOperator has a `resources` of its own, which Airflow would store and read as its own kind of object
        self.step_resources = Resources.from_wire(resources or step_resources).to_wire()
        self.requirements = list(requirements or [])
        self.replace = list(replace or [])
        self.include = list(include or [])
        self.image = image
        self.env = dict(env or {})
        self.secrets = dict(secrets or {})
        self.overrides = {name: dict(section) for name, section in (overrides or {}).items()}
        self.preemptions = preemptions
        self._killed: threading.Event | None = None
        self._check_payload()

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As every operator's; ``resources`` goes under a name that Airflow does not read as its own."""
        return super().partial(**renamed_resources(kwargs))

    def execute(self, context: Any) -> Any:
        """Run the step to its end and return its result; the artifacts' references go to ``mlx_artifacts``."""
        self._killed = threading.Event()
        self.job_url = ""
        try:
            return self._run(context)
        except MlxError as error:
            raise as_airflow_error(error) from error.__cause__

    def on_kill(self) -> None:
        """Airflow wants this task to end. Called in a signal handler: ``execute`` does the rest (``jobs/life.py``)."""
        if self._killed is not None:
            self._killed.set()

    # --- parts ---------------------------------------------------------------------------------------------------

    def _run(self, context: Any) -> Any:
        ti, settings = context["ti"], read_settings()
        root, dag = bundle_root(ti), context["dag"]
        stacks = read_stacks(settings, dag_file=dag.fileloc, root=root)
        name, why = stack_choice(
            stacks, settings, step=self.stack or None, declared=dict(dag.params), params=plain_params(context["params"])
        )
        resolved = resolve_target(stacks, name, self._choice(ti), why=why)
        for reason in resolved.why:
            self.log.info("mlx: %s", reason)
        definition = self._definition(context, root)
        store = open_store(resolved.artifacts.root, resolved.artifacts.conn_id)
        gate = Gate((resolved.artifacts.root, *resolved.artifacts.allowed))
        identity, facts = identity_of(ti, settings), facts_of(context)
        planner = Planner(
            definition=definition, identity=identity, resolved=resolved, store=store,
            options=options_for(context, settings, stacks), try_number=facts.try_number,
            inputs=check_inputs(definition.arguments, store=store, gate=gate, root=resolved.artifacts.root),
        )  # fmt: skip
        planner.check()
        for warning in planner.plan(1).warnings:
            self.log.warning("mlx: %s", warning)
        assert self._killed is not None  # noqa: S101  (set by execute)
        life = StepLife(
            ledger=Ledger(store, resolved.artifacts.root, identity),
            facts=facts,
            plan=planner.plan,
            connect=lambda record: connect(record, store),
            ports=ports_for(context, log=self.log, killed=self._killed),
            targets=len(resolved.targets),
            preemptions=self._preemptions(resolved.targets[0].preemptions),
        )
        return self._deliver(life.run(), context)

    def _deliver(self, collected: Collected, context: Any) -> Any:
        if collected.skipped is not None:
            raise AirflowSkipException(collected.skipped)
        return push_results(
            collected,
            context["ti"],
            mapped_over=has_mapped_dependants(self),
            multiple_outputs=bool(self.multiple_outputs),
        )

    def _preemptions(self, of_target: int | None) -> int:
        return self.preemptions if self.preemptions is not None else (of_target or 0)

    def _choice(self, ti: Any) -> StepChoice:
        refuse_unknown_section(self.overrides)
        return StepChoice(
            dag_id=ti.dag_id, task_id=ti.task_id, target=self.target or None, image=self.image or None, env=self.env,
            resources=Resources.from_wire(self.step_resources).to_wire(), sections=self.overrides,
        )  # fmt: skip

    def _definition(self, context: Any, root: str | None) -> StepDefinition:
        """Everything of the step that does not depend on the stack."""
        payload = self._payload(context, root)
        args, kwargs = self._arguments(context)
        return StepDefinition(
            payload=payload.payload, files=payload.files, command=payload.command, image=self.image,
            arguments=to_wire(args, kwargs, masked=_is_masked), requirements=tuple(self.requirements),
            replace=tuple(self.replace), resources=Resources.from_wire(self.step_resources), env=self.env,
            secrets=self.secrets, target=self.target or "default", stack=self.stack, overrides=self.overrides,
            preemptions=self.preemptions, multiple_outputs=bool(self.multiple_outputs),
            return_type=payload.return_type, origin=payload.origin, warnings=payload.warnings,
        )  # fmt: skip

    def _payload(self, context: Any, root: str | None) -> Any:
        folder = context["dag"].fileloc
        if self.entrypoint:
            return entrypoint_payload(self.entrypoint, dag_file=folder, root=root, include=self.include)
        if self.script:
            return script_payload(
                self.script, source=self.source, argv=self.argv, dag_file=folder, root=root, include=self.include
            )
        return command_payload(self.command or ())

    def _arguments(self, context: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        return (), dict(self.arguments)

    def _check_payload(self) -> None:
        given = [name for name in _PAYLOADS if getattr(self, name)]
        problems = []
        if len(given) != 1:
            what = f"it has {' and '.join(given)}" if given else "it says nothing to run"
            problems.append(Problem(what, f"give exactly one of {', '.join(_PAYLOADS)}; or decorate a function with @task.mlx"))
        if self.source and not self.script:
            problems.append(Problem("`source` goes with `script`", "use `include=` for an entry point's packages"))
        if self.argv and not self.script:
            problems.append(Problem("`argv` goes with `script`", "an entry point takes `arguments=`"))
        if self.arguments and not self.entrypoint:
            problems.append(Problem("`arguments` goes with `entrypoint`", "a script takes `argv=`"))
        if self.command and not self.image:
            problems.append(Problem("a container command needs an image", "add `image=`"))
        if problems:
            raise InvalidStep(f"step `{self.task_id}` cannot be built", problems)


class FunctionStepOperator(MlxStepOperator):
    """The part of ``@task.mlx`` that is a step: a function and its arguments. ``decorators/mlx.py`` joins the rest."""

    python_callable: Callable[..., Any]
    op_args: Sequence[Any]
    op_kwargs: Mapping[str, Any]

    def _payload(self, context: Any, root: str | None) -> Any:
        return function_payload(self.python_callable, dag_file=context["dag"].fileloc, root=root, include=self.include)

    def _arguments(self, context: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        return list(self.op_args), fill_context(self.python_callable, self.op_kwargs, context)

    def _check_payload(self) -> None:
        return


def connect(record: AttemptRecord, store: Any) -> Any:
    """The backend that a ledger's record names, with the settings of that time."""
    from ..backends.registry import backend_class

    kind = backend_class(record.backend)
    return kind(kind.settings_model.model_validate(record.settings), record.conn_id, store)


def renamed_resources(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments with ``resources`` as plain JSON under a name that Airflow does not take for its own."""
    renamed = dict(kwargs)
    if "resources" in renamed:
        renamed["step_resources"] = Resources.from_wire(renamed.pop("resources")).to_wire()
    return renamed


def _is_masked(value: Any) -> bool:
    """Airflow masks every value that it knows as a secret, wherever it stands in a text."""
    if isinstance(value, str):
        return bool(redact(value) != value)
    if isinstance(value, Mapping):
        return any(_is_masked(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_is_masked(item) for item in value)
