"""What a step and a target ask of a backend, by the names of its ``cannot``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.requirements import of_a_network, unhashed
from airflow_provider_mlx.runtime.uris import is_within, without_credentials
from airflow_provider_mlx.stacks.stack import Target
from airflow_provider_mlx.step.spec import JobSpec


def asked_fields(spec: JobSpec) -> dict[str, Any]:
    """The fields of a step that ask for something, by the names of a backend's ``cannot``."""
    resources = spec.resources
    asked: dict[str, Any] = {
        name: value for name, value in resources.to_wire().items() if name not in ("nodes", "launcher", "spot", "gpu")
    }
    if resources.gpus is not None:
        asked["gpu"] = resources.gpu
        if 0 < resources.gpus.count < 1:
            asked["fractional_gpu"] = resources.gpu
    if resources.node_count > 1:
        asked["nodes"] = resources.nodes
    if resources.launcher not in (None, "none"):
        asked["launcher"] = resources.launcher
    if resources.wants_spot:
        asked["spot"] = resources.spot
    if spec.command is not None:
        asked["command"] = list(spec.command)
    if spec.image is not None:
        asked["image"] = spec.image
    return asked


def asked_of_target(target: Target) -> dict[str, Any]:
    """The common fields of a target that a backend without a queue or spot cannot honour."""
    fields = {
        "max_queue": target.max_queue,
        "give_up_pending_after": target.give_up_pending_after,
        "on_demand_fallback": target.on_demand_fallback if target.on_demand_fallback != "never" else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def requirement_problems(lines: Sequence[str], wheelhouse: str | None, readable: Sequence[str]) -> list[Problem]:
    """
    What is wrong with a step's own requirements, and with where their wheels come from.

    :param readable: the prefixes from which a job may read.
    """
    problems = []
    if missing := unhashed(lines):
        problems.append(
            Problem(
                f"some requirements have hashes, and these have none: {', '.join(missing)}",
                "give every requirement its `--hash` (`uv pip compile --generate-hashes` does), or leave all out",
                "requirements",
            )
        )
    if wheelhouse and (asking := of_a_network(lines)):
        problems.append(
            Problem(
                f"they ask a network beside a wheelhouse: {', '.join(map(without_credentials, asking))}",
                "name the packages alone, and put their wheels into the wheelhouse",
                "requirements",
            )
        )
    if wheelhouse and not is_within(wheelhouse, readable):
        problems.append(
            Problem(
                f"{wheelhouse} lies neither under the artifact root nor under an allowed prefix",
                "add its prefix to `artifacts: allowed` of the stack",
                "wheelhouse",
            )
        )
    return problems
