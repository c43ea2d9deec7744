"""
What the deployment allows, asked of plain values.

Every rule whose pattern matches ``stack.target`` applies, so a rule can narrow what another allows, never widen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.durations import format_duration
from airflow_provider_mlx.stacks.places import listed
from airflow_provider_mlx.stacks.stack import PolicyRule


@dataclass(frozen=True)
class PolicyQuestion:
    """
    What a step would do on one candidate of its target.

    ``image``, ``role`` and ``service_account`` are ``None`` where the backend has no such thing: say ``default`` for
    a pod that names no service account.

    :param overrides: the backend settings that the step's code overrides, as ``kubernetes.queue``.
    :param gpu: of the whole job, over all its nodes.
    :param max_runtime: ``None`` is no limit.
    """

    dag_id: str
    task_id: str
    stack: str
    target: str
    image: str | None = None
    service_account: str | None = None
    role: str | None = None
    overrides: Sequence[str] = ()
    gpu: float = 0
    nodes: int = 1
    max_runtime: timedelta | None = None
    pool: str = "default_pool"


def check_policy(rules: Sequence[PolicyRule], question: PolicyQuestion) -> list[Problem]:
    """
    What the policy refuses; nothing when it allows the step.

    Each problem names its rule in ``field``, as ``platform.yaml:31:5, policy.targets."prod.gpu".max_gpu``, and what
    would be allowed.
    """
    name = f"{question.stack}.{question.target}"
    problems: list[Problem] = []
    for rule in rules:
        if fnmatchcase(name, rule.pattern):
            problems.extend(_words(rule, question))
            problems.extend(_sizes(rule, question))
            problems.extend(_pool(rule, question))
    return problems


def _words(rule: PolicyRule, question: PolicyQuestion) -> list[Problem]:
    questions = (
        ("dags", "the DAG", (question.dag_id,), rule.dags),
        ("images", "the image", _if_any(question.image), rule.images),
        ("service_accounts", "the service account", _if_any(question.service_account), rule.service_accounts),
        ("roles", "the role", _if_any(question.role), rule.roles),
        ("overrides", "overriding", question.overrides, rule.overrides),
    )
    problems = []
    for key, noun, values, allowed in questions:
        for value in values:
            if allowed is not None and not any(fnmatchcase(value, glob) for glob in allowed):
                remedy = f"allowed: {listed(allowed)}" if allowed else "none is allowed"
                problems.append(_refusal(rule, key, f"{noun} `{value}` is not allowed", remedy))
    return problems


def _sizes(rule: PolicyRule, question: PolicyQuestion) -> list[Problem]:
    problems = []
    if rule.max_gpu is not None and question.gpu > rule.max_gpu:
        what = f"{question.gpu:g} GPUs are asked for, over all nodes"
        problems.append(_refusal(rule, "max_gpu", what, f"ask for at most {rule.max_gpu:g}"))
    if rule.max_nodes is not None and question.nodes > rule.max_nodes:
        what = f"{question.nodes} nodes are asked for"
        problems.append(_refusal(rule, "max_nodes", what, f"ask for at most {rule.max_nodes}"))
    if rule.max_runtime is not None:
        limit = format_duration(rule.max_runtime)
        if question.max_runtime is None:
            remedy = f"set `timeout=` of the step or `max_runtime:` of the target, at most {limit}"
            problems.append(_refusal(rule, "max_runtime", "the step has no time limit", remedy))
        elif question.max_runtime > rule.max_runtime:
            what = f"the time limit is {format_duration(question.max_runtime)}"
            problems.append(_refusal(rule, "max_runtime", what, f"ask for at most {limit}"))
    return problems


def _pool(rule: PolicyRule, question: PolicyQuestion) -> list[Problem]:
    if rule.pool is None or rule.pool == question.pool:
        return []
    what = f"the task runs in the pool `{question.pool}`"
    return [_refusal(rule, "pool", what, f'say pool="{rule.pool}"')]


def _if_any(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _refusal(rule: PolicyRule, key: str, what: str, remedy: str) -> Problem:
    return Problem(what=what, remedy=remedy, field=f'{rule.where}, policy.targets."{rule.pattern}".{key}')
