"""
Stacks: named environments that say where steps run, so that a DAG does not.

A stack file is parsed into nodes with places (``parsing``), what it inherits is merged (``extends``), pydantic
models give it its shape (``model``, ``explanations``, ``candidates``, ``validation``), and the result is a plain
value (``stack``). ``resolution`` and ``policy`` are pure; ``files`` reads. Nothing here knows Airflow, and neither
pydantic nor YAML is imported before a stack file is read.
"""

from __future__ import annotations

from airflow_provider_mlx.stacks.durations import format_duration, parse_duration
from airflow_provider_mlx.stacks.files import FILE_NAME, load_stacks
from airflow_provider_mlx.stacks.params import PARAM_NAME, declared_stack_param, stack_param
from airflow_provider_mlx.stacks.policy import PolicyQuestion, check_policy
from airflow_provider_mlx.stacks.resolution import ResolvedStep, StepChoice, resolve_stack_name, resolve_target
from airflow_provider_mlx.stacks.stack import Artifacts, PolicyRule, Stack, Stacks, Target, TaskOverride

__all__ = [
    "FILE_NAME",
    "PARAM_NAME",
    "Artifacts",
    "PolicyQuestion",
    "PolicyRule",
    "ResolvedStep",
    "Stack",
    "Stacks",
    "StepChoice",
    "Target",
    "TaskOverride",
    "check_policy",
    "declared_stack_param",
    "format_duration",
    "load_stacks",
    "parse_duration",
    "resolve_stack_name",
    "resolve_target",
    "stack_param",
]
