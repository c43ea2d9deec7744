"""``stacks``: what a DAG file, or the deployment, sees: stacks, where they come from, their targets, what is wrong."""

from __future__ import annotations

import argparse
import json
from typing import Any

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import Stack, Stacks, Target, format_duration

from .output import Answer, columns
from .places import is_path, scene_of


def run_stacks(arguments: argparse.Namespace) -> Answer:
    """Print the stacks."""
    scene = scene_of(arguments.dag)
    if arguments.dag and not is_path(arguments.dag) and scene.dag is None:
        raise InvalidStep(
            f"there is no DAG `{arguments.dag}`" + "".join(f"; {error}" for error in scene.import_errors),
            remedy="look at `[core] dags_folder`; or name the DAG's file by its path",
        )
    chosen = scene.settings.stack or scene.stacks.default or "local"
    if arguments.json:
        return Answer(json.dumps(as_json(scene.stacks, chosen), indent=2))
    return Answer("\n".join(as_text(scene.stacks, chosen)))


def as_json(stacks: Stacks, chosen: str) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "files": list(stacks.files),
        "notes": list(stacks.notes),
        "chosen": chosen,
        "stacks": [
            {
                "name": stack.name,
                "where": stack.where,
                "extends": list(stack.extends),
                "artifacts": {"root": stack.artifacts.root, "conn_id": stack.artifacts.conn_id},
                "targets": {
                    name: [_target(target) for target in candidates] for name, candidates in stack.targets.items()
                },
                "problems": problems_of(stack),
            }
            for stack in stacks.stacks.values()
        ],
    }


def as_text(stacks: Stacks, chosen: str) -> list[str]:
    """A paragraph per stack."""
    lines = [f"files: {', '.join(stacks.files) or 'none'}", *(f"note: {note}" for note in stacks.notes)]
    for stack in stacks.stacks.values():
        mark = " (chosen where neither step nor run names one)" if stack.name == chosen else ""
        extends = f", extends {', '.join(stack.extends)}" if stack.extends else ""
        lines += ["", f"{stack.name}{mark}", f"  from {stack.where}{extends}"]
        conn = f" with the connection `{stack.artifacts.conn_id}`" if stack.artifacts.conn_id else ""
        lines.append(f"  artifacts {stack.artifacts.root}{conn}")
        rows = [
            (f"  target {name}" if index == 0 else "    then", target.backend, _about(target), target.where)
            for name, candidates in stack.targets.items()
            for index, target in enumerate(candidates)
        ]
        lines += columns(rows)
        lines += [f"  problem: {problem}" for problem in problems_of(stack)]
    return lines


def problems_of(stack: Stack) -> list[str]:
    """What keeps a stack, or a target of it, from being used here."""
    refusals = [target.refusal for candidates in stack.targets.values() for target in candidates if target.refusal]
    return [str(problem) for problem in (*stack.incomplete, *dict.fromkeys(refusals))]


def _about(target: Target) -> str:
    facts = {
        "image": target.image,
        "connection": target.conn_id,
        "max_runtime": format_duration(target.max_runtime) if target.max_runtime else None,
    }
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value)


def _target(target: Target) -> dict[str, Any]:
    return {
        "backend": target.backend,
        "where": target.where,
        "conn_id": target.conn_id,
        "image": target.image,
        "max_runtime_seconds": target.max_runtime.total_seconds() if target.max_runtime else None,
    }
