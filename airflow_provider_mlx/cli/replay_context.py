"""From the recorded ``context.json`` to the one of a replay: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.member import is_gang
from airflow_provider_mlx.runtime.protocol import NO_LAUNCHER
from airflow_provider_mlx.runtime.ranks import MASTER_PORT, Place, environment_of
from airflow_provider_mlx.runtime.uris import is_within, join, split_uri
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.runtime.wire import decode, references

from .recorded import Recorded


@dataclass(frozen=True)
class Folders:
    """
    Where a replay works and leaves its results.

    :param objects: stands for the artifact root, where that is no folder of this machine.
    :param environments: finished environments of replays.
    """

    work: Path
    environments: Path

    @property
    def outputs(self) -> Path:
        """What the step returns."""
        return self.work / "outputs"

    @property
    def objects(self) -> Path:
        """What was brought from a store that is no folder here."""
        return self.work / "store"


def replayed_context(
    recorded: Recorded,
    folders: Folders,
    *,
    root: str,
    allowed: Iterable[str],
    payload: Mapping[str, Any] | None = None,
    requirements: Sequence[str] | None = None,
    replace: Sequence[str] = (),
    inherit: bool = False,
) -> dict[str, Any]:
    """
    The context that a replay runs under: same arguments, outputs in a folder of its own.

    :param root: the artifact root as it is reached here.
    :param allowed: prefixes besides the root from which datasets may be read.
    :param payload: what runs instead of the recorded payload.
    :param requirements: what is installed instead of the recorded requirements.
    :param inherit: the interpreter's own packages are seen beside the requirements.
    """
    context = dict(recorded.context)
    environment = dict(context.get("environment", {}))
    if requirements is not None:
        environment |= {"requirements": list(requirements), "replace": list(replace)}
    environment.pop("wheelhouse", None)  # the job's own; here packages come from this machine's index
    environment |= {"inherit": inherit, "cache": str(folders.environments)}
    context.pop("tracking", None)  # a replay adds nothing to the recorded run's page in a tracker
    return context | {
        "payload": dict(context["payload"] if payload is None else payload),
        "outputs": dict(context["outputs"]) | {"uri": folders.outputs.as_uri()},
        "checkpoint_uri": (folders.work / "checkpoints").as_uri(),
        "store": {"mounts": mounts(recorded.root, root, folders), "allowed": [recorded.root, *allowed]},
        "environment": environment,
        "nodes": 1,
        "launcher": NO_LAUNCHER,
        "heartbeat_seconds": 3600.0,
    }


def variables_of_rank_0(recorded: Recorded) -> dict[str, str]:
    """What the step finds in its environment where it ran as several ranks: it is the only one now."""
    return environment_of(Place(1, 0, "127.0.0.1", MASTER_PORT)) if is_gang(recorded.context) else {}


def mounts(recorded_root: str, root: str, folders: Folders) -> list[dict[str, str]]:
    """Where references into the recorded root lie on this machine: the root itself, or a folder they are brought to."""
    scheme, _, path = split_uri(root)
    if scheme == "file":
        from urllib.parse import unquote

        return [{"uri": recorded_root, "path": f"/{unquote(path)}"}]
    return [{"uri": recorded_root, "path": str(folders.objects)}]


@dataclass(frozen=True)
class Input:
    """One artifact to bring: from where, and to which file."""

    uri: str
    path: Path


def inputs_to_bring(recorded: Recorded, folders: Folders, *, root: str) -> list[Input]:
    """
    The artifacts among the arguments, where the artifact root is no folder of this machine.

    :raises ArtifactError: one lies outside the root.
    """
    if split_uri(root)[0] == "file":
        return []
    return [Input(*_moved(item.uri, recorded.root, root, folders)) for item in artifacts_of(recorded)]


def artifacts_of(recorded: Recorded) -> list[ArtifactReference]:
    """The artifacts that the recorded arguments refer to, each once."""
    arguments = recorded.context.get("arguments", {"args": [], "kwargs": {}})
    try:
        found = references(decode([arguments["args"], arguments["kwargs"]]))
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"the recorded arguments cannot be read: {error}") from error
    return list({(item.uri, item.sha256): item for item in found}.values())


def _moved(uri: str, recorded_root: str, root: str, folders: Folders) -> tuple[str, Path]:
    if not is_within(uri, (recorded_root,)):
        raise ArtifactError(
            f"the input {uri} lies outside the artifact root {recorded_root}",
            remedy="the recorded context was changed, or is of an earlier release",
        )
    below = uri[len(recorded_root) :].strip("/")
    return join(root, below), folders.objects / below
