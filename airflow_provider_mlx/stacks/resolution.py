"""Which stack, which target, and why: pure choices, each explained in a sentence that ``mlx plan`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.stacks.places import listed, nearest
from airflow_provider_mlx.stacks.stack import BUILT_IN, DEFAULT_TARGET, Artifacts, Stack, Stacks, Target, TaskOverride
from airflow_provider_mlx.stacks.tracking import merge_tracking
from airflow_provider_mlx.step.resources import parse_flag

# The fields of a target that are mappings: what is more specific adds to them, key by key.
_MAPPINGS: Final = ("env", "secrets", "tags", "resources", "tracking")


@dataclass(frozen=True)
class StepChoice:
    """
    What a step's code says about where and how it runs; only what it really sets.

    :param target: the logical target; ``None`` is ``default``.
    :param resources: the set fields of ``Resources``, by name.
    :param sections: per backend, the settings that the step overrides, as ``{"kubernetes": {"queue": "urgent"}}``.
    """

    dag_id: str
    task_id: str
    target: str | None = None
    image: str | None = None
    python: str | None = None
    wheelhouse: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """``dag_id.task_id``."""
        return f"{self.dag_id}.{self.task_id}"


@dataclass(frozen=True)
class ResolvedStep:
    """
    Where a step runs.

    :param target: the logical target that was chosen.
    :param targets: its candidates in the order in which they are tried, everything merged into them: stack,
        target, step and the stack's override of the task.
    :param overrides: the backend settings that the step's *code* overrides, as ``kubernetes.queue``; the policy asks.
    :param why: a sentence per choice.
    """

    stack: str
    artifacts: Artifacts
    target: str
    targets: tuple[Target, ...]
    on_unsupported: Literal["error", "warn"]
    install_client: bool
    overrides: tuple[str, ...]
    why: tuple[str, ...]


def resolve_stack_name(
    step: str | None = None,
    run_param: str | None = None,
    configured: str | None = None,
    file_default: str | None = None,
) -> tuple[str, str]:
    """
    The stack of a step: the first of these that is set.

    :param step: the step's own ``stack=``.
    :param run_param: the DAG run's ``mlx_stack``, where the DAG declares it (``declared_stack_param``).
    :param configured: ``[mlx] stack``.
    :param file_default: ``default`` of the stack file.
    :return: the name, and why.
    """
    choices = (
        (step, "the step's own `stack=` says so"),
        (run_param, "the DAG run's param `mlx_stack` says so"),
        (configured, "`[mlx] stack` says so"),
        (file_default, "it is the stack file's `default`"),
    )
    for name, reason in choices:
        if name:
            return name, f"stack `{name}`: {reason}"
    return BUILT_IN, f"stack `{BUILT_IN}`: nothing chooses another, and it needs no file"


def resolve_target(stacks: Stacks, stack_name: str, step: StepChoice, *, why: str = "") -> ResolvedStep:
    """
    The target of a step on a stack, everything merged.

    The stack's override of the task wins over the step's code, since it exists to change a step without an edit;
    the step's code wins over the target. Mappings (``env``, ``tags``, ``tracking``, …) merge key by key.

    :param why: the sentence of :func:`resolve_stack_name`.
    :raises InvalidStep: the stack or target does not exist, its backend is not installed, or an override is wrong.
    """
    stack = stacks.stack(stack_name)
    reasons = [why] if why else []
    override = next((task for task in stack.tasks if fnmatchcase(step.full_name, task.pattern)), None)
    name = _target_name(stack, step, override, reasons)
    candidates = stack.targets[name]
    refused = [target.refusal for target in candidates if target.refusal]
    if refused:
        raise InvalidStep(f"target `{name}` of stack `{stack.name}` cannot be used here", refused)
    _explain_candidates(candidates, reasons)
    problems = _unknown_sections(stacks, candidates, step, reasons)
    merged = [_merge(target, stack, step, override, problems) for target in candidates]
    targets = [one for target in merged for one in _with_on_demand(target, reasons)]
    _explain_overrides(step, override, reasons)
    if problems:
        raise InvalidStep(_cannot(step, stack, name), list(dict.fromkeys(problems)))
    return ResolvedStep(
        stack=stack.name,
        artifacts=stack.artifacts,
        target=name,
        targets=tuple(targets),
        on_unsupported=stack.on_unsupported,
        install_client=stack.install_client,
        overrides=tuple(sorted(f"{backend}.{key}" for backend, keys in step.sections.items() for key in keys)),
        why=tuple(reasons),
    )


def _target_name(stack: Stack, step: StepChoice, override: TaskOverride | None, reasons: list[str]) -> str:
    if override and override.target:
        name, source = override.target, f"the override `{override.pattern}` says so ({override.where})"
    elif step.target:
        name, source = step.target, "the step's own `target=` says so"
    else:
        name, source = DEFAULT_TARGET, "the step names none"
    if name in stack.targets:
        reasons.append(f"target `{name}`: {source}")
        return name
    if not stack.strict:
        reasons.append(f"target `{DEFAULT_TARGET}`: stack `{stack.name}` has no `{name}` and is not strict")
        return DEFAULT_TARGET
    what = f"there is no target `{name}` on stack `{stack.name}` ({stack.where})"
    remedy = f"{nearest(name, stack.targets)} the targets are: {listed(stack.targets)}"
    raise InvalidStep(_cannot(step, stack, name), [Problem(what=what, remedy=remedy, field="target")])


def _cannot(step: StepChoice, stack: Stack, target: str) -> str:
    return f"step `{step.task_id}` of `{step.dag_id}` cannot run on stack `{stack.name}`, target `{target}`"


def _explain_candidates(candidates: tuple[Target, ...], reasons: list[str]) -> None:
    if len(candidates) == 1:
        reasons.append(f"backend `{candidates[0].backend}`: from {candidates[0].where}")
        return
    for number, target in enumerate(candidates, start=1):
        reasons.append(f"candidate {number} of {len(candidates)}: backend `{target.backend}`, from {target.where}")


def _explain_overrides(step: StepChoice, override: TaskOverride | None, reasons: list[str]) -> None:
    if override is None:
        return
    kept = [name for name in override.fields if name in _MAPPINGS]
    for name, value in override.fields.items():
        asked = getattr(step, name, None)
        keys = [f"{name}.{key}" for key in value] if name in kept else [name]
        instead = " instead of the step's own" if asked and (name not in kept or set(asked) & set(value)) else ""
        reasons.append(f"{listed(keys)}: from the override `{override.pattern}`{instead} ({override.where})")
    for backend, section in override.sections.items():
        settings = listed(f"{backend}.{key}" for key in section)
        reasons.append(f"{settings}: from the override `{override.pattern}` ({override.where})")


def _unknown_sections(
    stacks: Stacks, candidates: tuple[Target, ...], step: StepChoice, reasons: list[str]
) -> list[Problem]:
    """Sections for a backend that nobody knows; one for a backend that is not chosen is explained, not refused."""
    problems = []
    chosen = {target.backend for target in candidates}
    for backend in step.sections:
        if backend not in stacks.backends and backend not in chosen:
            what = f"the step overrides settings of `{backend}`, which is not an installed backend"
            problems.append(Problem(what=what, remedy=nearest(backend, stacks.backends), field=backend))
        elif backend not in chosen:
            reasons.append(f"the step's settings of `{backend}` have no effect: no candidate uses that backend")
    return problems


def _merge(
    target: Target, stack: Stack, step: StepChoice, override: TaskOverride | None, problems: list[Problem]
) -> Target:
    overriding = override.fields if override else {}
    single: dict[str, Any] = {name: value for name, value in overriding.items() if name not in _MAPPINGS}
    merged = replace(
        target,
        image=step.image or target.image,
        python=step.python or target.python,
        wheelhouse=step.wheelhouse or target.wheelhouse,
        env={**target.env, **step.env, **overriding.get("env", {})},
        secrets={**target.secrets, **overriding.get("secrets", {})},
        tags={**stack.tags, **target.tags, **step.tags, **overriding.get("tags", {})},
        resources={**target.resources, **step.resources, **overriding.get("resources", {})},
        tracking=merge_tracking(target.tracking, overriding.get("tracking", {})),
    )
    merged = replace(merged, **single)
    sections = [step.sections.get(target.backend, {})]
    if override:
        sections.append(override.sections.get(target.backend, {}))
    return _with_sections(merged, sections, problems)


def _with_on_demand(target: Target, reasons: list[str]) -> list[Target]:
    """A target on spot machines, and after it the same on demand, where `on_demand_fallback: last` says so."""
    try:
        on_spot = parse_flag(target.resources.get("spot", False))
    except ValueError:  # a template that is not rendered yet, or what the step's own check refuses
        return [target]
    if target.on_demand_fallback != "last" or not on_spot:
        return [target]
    reasons.append(f"`on_demand_fallback: last`: after its spot machines the same target on demand ({target.where})")
    return [target, replace(target, resources={**target.resources, "spot": False}, on_demand_fallback="never")]


def _with_sections(target: Target, sections: list[Mapping[str, Any]], problems: list[Problem]) -> Target:
    """The target with some of its backend's settings replaced, validated anew by the backend's own model."""
    given: dict[str, Any] = dict(target.given)
    for section in sections:
        given = _deep(given, section)
    if target.settings is None or given == target.given:
        return target
    # both are loaded: the target's settings are a pydantic model, checked by the module that this one leads to
    from pydantic import ValidationError

    from airflow_provider_mlx.stacks.explanations import field_names, sentence

    model = type(target.settings)
    try:
        return replace(target, given=given, settings=model.model_validate(given))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            what, remedy = sentence(detail)
            path = ".".join([target.backend, *(str(part) for part in detail["loc"])])
            if detail["type"] == "extra_forbidden":
                what, remedy = "unknown setting", nearest(str(detail["loc"][-1]), field_names(model))
            problems.append(Problem(what=what, remedy=remedy, field=path))
        return target


def _deep(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _deep(below, value) if both else value  # type: ignore[arg-type]
    return merged
