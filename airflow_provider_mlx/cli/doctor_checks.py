"""What ``doctor`` thinks of what it saw: pure judgements, each with the way to mend it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_provider_mlx.stacks import Stack, Stacks

from .output import readable_size


class Status(enum.Enum):
    """How it looks."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """It cannot be asked from here."""


@dataclass(frozen=True)
class Check:
    """
    One line.

    :param about: what was looked at.
    :param mend: what to do, where something is to be done.
    """

    status: Status
    about: str
    what: str
    mend: str = ""


CONFLICTS: Final[Mapping[str, tuple[str, str]]] = {
    "kfp": (
        "holds kubernetes below 31, which the Kubernetes provider cannot use, and pins urllib3 and requests",
        "uninstall it here and compile pipelines in an environment of their own",
    ),
    "kfp-pipeline-spec": (
        "holds protobuf below 7",
        "uninstall it here and compile pipelines in an environment of their own",
    ),
    "aiobotocore": (
        "drags boto3 back to the release that it pins",
        "uninstall it, or check that boto3 is as new as the amazon provider needs: `pip check`",
    ),
}
"""Packages that do not go well with Airflow's interpreter, why, and the way out."""

_SHOWN: Final = ("airflow-provider-mlx", "apache-airflow", "apache-airflow-providers-common-compat", "obstore")
_LEAST_FREE: Final = 1_000_000_000
_FEW_FREE: Final = 10_000_000_000


def versions(installed: Mapping[str, str], *, python: Sequence[int]) -> Iterator[Check]:
    """What is installed."""
    said = ", ".join(f"{name} {installed[name]}" for name in _SHOWN if name in installed)
    yield Check(Status.OK, "versions", f"Python {'.'.join(map(str, python))}, {said}")
    airflow = installed.get("apache-airflow", installed.get("apache-airflow-core", ""))
    if airflow.startswith("2."):
        yield Check(
            Status.WARN, "Airflow", f"{airflow} is the second tier: steps wait in their worker slot there",
            "read the page on limits, or use Airflow 3",
        )  # fmt: skip


def conflicts(installed: Mapping[str, str]) -> Iterator[Check]:
    """Packages that are known for trouble in this interpreter."""
    for name, (what, mend) in CONFLICTS.items():
        if name in installed:
            yield Check(Status.WARN, "packages", f"{name} {installed[name]} {what}", mend)
    if "mlx" in installed:
        yield Check(
            Status.OK,
            "packages",
            f"mlx {installed['mlx']} is Apple's array framework: another project, and no conflict",
        )


def stack_files(stacks: Stacks, chosen: Iterable[Stack]) -> Iterator[Check]:
    """The files were read, and what of them cannot be used here."""
    yield Check(Status.OK, "stacks", f"{', '.join(stacks.stacks)} from {', '.join(stacks.files) or 'no file'}")
    for note in stacks.notes:
        yield Check(Status.WARN, "stacks", note, "change `[mlx] bundle_stacks`, or remove the file")
    refusals = {
        target.refusal: f"stack {stack.name}, target {target.name}"
        for stack in chosen
        for candidates in stack.targets.values()
        for target in candidates
        if target.refusal
    }
    for problem, about in refusals.items():
        yield Check(Status.FAIL, about, problem.what, problem.remedy)


def backends_of(chosen: Iterable[Stack]) -> list[str]:
    """The backends that stacks name, each once."""
    return sorted({target.backend for stack in chosen for items in stack.targets.values() for target in items})


def connections_of(chosen: Iterable[Stack]) -> dict[str, list[str]]:
    """Connection ids, and who uses each."""
    found: dict[str, list[str]] = {}
    for stack in chosen:
        if stack.artifacts.conn_id:
            found.setdefault(stack.artifacts.conn_id, []).append(f"artifacts of {stack.name}")
        for name, candidates in stack.targets.items():
            for conn_id in dict.fromkeys(target.conn_id for target in candidates if target.conn_id):
                found.setdefault(conn_id, []).append(f"{stack.name}.{name}")
    return found


def connection(conn_id: str, users: Sequence[str], exists: bool | None) -> Check:
    """Whether a connection can be resolved; ``None``: it could not be asked."""
    about, by = f"connection {conn_id}", f"used by {', '.join(users)}"
    if exists is None:
        return Check(Status.UNKNOWN, about, f"it cannot be asked from here; {by}", "run `doctor` where workers run")
    if exists:
        return Check(Status.OK, about, by)
    return Check(Status.FAIL, about, f"there is none; {by}", f"airflow connections add {conn_id} …")


def deployment_id(value: str, needing: Sequence[str]) -> Check:
    """Whether jobs that other Airflows can see carry this one's name."""
    if value or not needing:
        return Check(Status.OK, "[mlx] deployment_id", value or "not set, and only local jobs run")
    return Check(
        Status.FAIL, "[mlx] deployment_id", f"it is not set, and {', '.join(needing)} jobs need it",
        "set AIRFLOW__MLX__DEPLOYMENT_ID to a name of this Airflow, as prod-eu",
    )  # fmt: skip


def allow_local(value: str, has_local: bool) -> Check:
    """Whether steps run as processes of workers."""
    about = "[mlx] allow_local"
    if value == "true":
        return Check(
            Status.WARN, about, "steps run as processes of the workers: packages are isolated, trust is not",
            "leave it at `auto` where others than you write DAGs",
        )  # fmt: skip
    said = "local steps run under `airflow dags test` only" if value == "auto" else "no step runs as a local process"
    return Check(Status.OK, about, said if has_local else f"{value}; no stack has a local target")


def store(about: str, *, created: bool, refused: bool, listed: bool, same: bool) -> Check:
    """Whether a store keeps the ledger's promises."""
    wrong = {
        "it did not create a new object": not created,
        "it let an object be created twice, so two workers could take one attempt": not refused,
        "a new object is not in its listing": not listed,
        "it gave other bytes back": not same,
    }
    said = [what for what, holds in wrong.items() if holds]
    if said:
        return Check(
            Status.FAIL,
            about,
            "; ".join(said),
            "use a store with conditional writes: S3, GCS, Azure, or a POSIX folder",
        )
    return Check(Status.OK, about, "creates once, lists, reads")


def triggerer(deferring: Sequence[str], alive: bool | None) -> Check:
    """Whether deferred steps are watched; ``None``: it could not be asked."""
    if not deferring:
        return Check(Status.OK, "triggerer", "no backend of these stacks defers")
    by = f"for {', '.join(deferring)}"
    if alive is None:
        return Check(
            Status.UNKNOWN, "triggerer", f"neither the database nor the API can be asked from here; needed {by}",
            "look at the API's /api/v2/monitor/health",
        )  # fmt: skip
    if alive:
        return Check(Status.OK, "triggerer", f"alive, {by}")
    return Check(
        Status.FAIL, "triggerer", f"no living one, and steps wait there {by}",
        "start `airflow triggerer`, or set `[mlx] deferrable` to false",
    )  # fmt: skip


def pools(required: Mapping[str, str], used: Mapping[str, str], known: Mapping[str, bool] | None) -> Iterator[Check]:
    """
    Whether pools count steps that wait in the triggerer.

    :param required: pools that the policy requires, and which rule does.
    :param used: pools of a DAG's steps, and by which step.
    :param known: pool → ``include_deferred``; ``None``: it could not be asked.
    """
    for pool, by in {**used, **required}.items():
        about = f"pool {pool}"
        mend = f"airflow pools set --include-deferred {pool} <slots> <description>"
        if known is None:
            yield Check(Status.UNKNOWN, about, f"it cannot be asked from here; {by}", "run `doctor` on Airflow's host")
        elif pool not in known:
            yield Check(Status.FAIL, about, f"there is none; {by}", mend)
        elif not known[pool]:
            status = Status.FAIL if pool in required else Status.WARN
            yield Check(status, about, f"deferred steps do not count in it, so it bounds nothing; {by}", mend)
        else:
            yield Check(Status.OK, about, f"counts deferred steps; {by}")


def disk(folder: Path, free: int) -> Check:
    """Room for local jobs and environments."""
    about, what = "disk", f"{readable_size(free)} free under {folder}"
    if free < _LEAST_FREE:
        return Check(Status.FAIL, about, what, "make room: `gc` removes old job folders and environments")
    if free < _FEW_FREE:
        return Check(Status.WARN, about, what, "`gc` removes old job folders and environments")
    return Check(Status.OK, about, what)
