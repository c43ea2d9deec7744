"""``replay``: a recorded attempt runs again on this machine, from the artifact store alone, by the real runtime."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import FoundJob
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, MlxError, Problem, ResultMissing, first_line
from airflow_provider_mlx.jobs.ledger import AttemptLedger, Ledger
from airflow_provider_mlx.operators.payloads import requirement_lines
from airflow_provider_mlx.runtime.member import is_gang
from airflow_provider_mlx.runtime.uris import is_within, join
from airflow_provider_mlx.step.bundle import step_bundle
from airflow_provider_mlx.step.identity import TaskInstanceIdentity, path_segment
from airflow_provider_mlx.step.requirements import with_codec_packages

from .output import Answer, logs_on_stderr
from .places import Place, Scene, places, read_connection, scene_of, with_work_dir
from .plan import step_of
from .recorded import Recorded, check_replayable, confirmation, is_private, read_recorded
from .replay_context import Folders, artifacts_of, inputs_to_bring, replayed_context, variables_of_rank_0
from .replay_report import has_artifacts, report
from .replay_run import Staged, dag_file_of, debuggable, environment, run_staged

_LOOKED_AT: Final = 50_000
"""Objects that are looked at to tell where else a step's ledger may be: a hint, not worth a whole bucket's listing."""


@dataclass(frozen=True)
class Code:
    """
    What a replay runs.

    :param payload: instead of the recorded one, where it is the working tree's.
    :param env: what the DAG file says now.
    """

    bundle: bytes
    payload: Mapping[str, Any] | None = None
    requirements: list[str] | None = None
    replace: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


def run_replay(arguments: argparse.Namespace) -> Answer:
    """Run a recorded attempt again, here."""
    folder = Path(tempfile.mkdtemp(prefix="mlx-replay-"))
    kept: set[Path] = set()
    try:
        with logs_on_stderr():
            recorded, staged, said = _prepare(arguments, folder)
        print(said, flush=True)
        code = run_staged(staged, show=lambda line: print(line, flush=True))
        answer = report(recorded, staged.folders, exit_code=code, dag_file=staged.dag_file)
        kept = {staged.folders.outputs} if has_artifacts(staged.folders) else set()
        return answer
    finally:
        for item in set(folder.iterdir()) - kept:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        if not kept:
            folder.rmdir()


def _prepare(arguments: argparse.Namespace, folder: Path) -> tuple[Recorded, Staged, str]:
    scene = scene_of(arguments.dag_id)
    place, ledger, store = find_attempt(scene, arguments)
    recorded = read_recorded(ledger)
    check_replayable(recorded)
    working_tree = arguments.code == "working-tree"
    if working_tree:
        code, why = (
            _working_tree(scene, recorded),
            "the code is the working tree's, the arguments are the recorded ones",
        )
    else:
        why = confirmation(
            recorded, digest=arguments.digest, private=is_private(place.artifacts.root),
            trusted=arguments.trust_ledger,
            ask_backend=lambda: ask_backend(scene, recorded, store),
        )  # fmt: skip
        code = Code(_download(store, join(place.artifacts.root, "bundles"), recorded))
    folders = Folders(folder, scene.settings.local_root / "replay" / "environments")
    context = replayed_context(
        recorded, folders, root=place.artifacts.root,
        # A context that nothing confirms does not say what may be read here; the stack does.
        allowed=place.artifacts.allowed if working_tree else recorded.context.get("store", {}).get("allowed", ()),
        payload=code.payload, requirements=code.requirements, replace=code.replace,
        inherit=_inherits(recorded, arguments.python, working_tree=working_tree),
    )  # fmt: skip
    for item in inputs_to_bring(recorded, folders, root=place.artifacts.root):
        item.path.parent.mkdir(parents=True, exist_ok=True)
        store.download(item.uri, item.path)  # its digest is checked where it is read, by the runtime
    staged = Staged(
        folders=folders, bundle=code.bundle, context=context, python=arguments.python or sys.executable,
        env=environment(_target_env(scene, recorded) | dict(code.env or {}) | variables_of_rank_0(recorded)),
        debug=arguments.debug,
        dag_file=dag_file_of(scene.root, context["payload"], code.bundle),
    )  # fmt: skip
    number = recorded.record.attempt
    return (
        recorded,
        debuggable(staged) if staged.debug else staged,
        "\n".join(
            (
                f"mlx: replays {recorded.identity} · attempt {number} · {ledger.uri}",
                f"mlx: {place.why}; {why}",
                *(f"mlx: {note}" for note in _notes(recorded, arguments)),
            )
        ),
    )


# --- finding ---------------------------------------------------------------------------------------------------------


def find_attempt(scene: Scene, arguments: argparse.Namespace) -> tuple[Place, AttemptLedger, ObjectStore]:
    """
    The attempt that the command line names, in the first artifact root that has it.

    :raises ResultMissing: no root has it; where else it was looked for, and what is there.
    """
    identity = TaskInstanceIdentity(
        arguments.deployment or scene.deployment, arguments.dag_id, arguments.run_id, arguments.task_id,
        arguments.map_index,
    )  # fmt: skip
    problems: list[Problem] = []
    for place in places(scene, arguments, task_id=arguments.task_id):
        try:
            store = place.open()
            ledger = Ledger(store, place.artifacts.root, identity)
            latest = ledger.latest()
        except MlxError as error:
            problems.append(Problem(f"{place.artifacts.root} ({place.why}) cannot be read: {first_line(error)}"))
            continue
        if latest is None:
            problems.append(Problem(_not_there(store, place, identity)))
        elif not 0 <= arguments.attempt <= latest.attempt:
            raise ResultMissing(
                f"there is no attempt {arguments.attempt} of {identity}", where=latest.uri,
                remedy=f"name one from 1 to {latest.attempt}",
            )  # fmt: skip
        else:
            return place, ledger.attempt(arguments.attempt) if arguments.attempt else latest, store
    said = "; ".join(problem.what for problem in problems)
    raise ResultMissing(
        f"no ledger of {identity} was found: {said}",
        remedy="check the ids, `--map-index` and `--deployment`; or name the place with `--stack`, or with `--root` "
        "and `--conn-id`" + "".join(f"; {error}" for error in scene.import_errors[:3]),
    )


def _not_there(store: ObjectStore, place: Place, identity: TaskInstanceIdentity) -> str:
    """What the root has instead: the same step under another deployment, or nothing."""
    parts = (identity.dag_id, identity.run_id, identity.task_id)
    tail = "/".join(map(path_segment, parts))
    runs = join(place.artifacts.root, "runs")
    names = sorted(
        {
            facts.uri[len(runs) :].strip("/").split("/")[0]
            for facts in islice(store.list(runs), _LOOKED_AT)
            if f"/{tail}/" in facts.uri[len(runs) :]
        }
    )
    here = f"{place.artifacts.root} ({place.why})"
    if names == [path_segment(identity.deployment_id)]:
        return f"{here} has the step with other map indexes only"
    return f"{here} has it under the deployments {', '.join(names)}" if names else f"{here} has no run of it"


# --- code ------------------------------------------------------------------------------------------------------------


def _download(store: ObjectStore, bundles: str, recorded: Recorded) -> bytes:
    wanted = recorded.record.bundle_sha256
    uri = join(bundles, f"{wanted}.zip")
    data = store.read(uri)
    if data is None:
        raise ArtifactError(
            f"the bundle {uri} is not there any more",
            remedy="`gc` or a lifecycle rule removed it; run the code of the DAG file with `--code working-tree`",
        )
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise ArtifactError(
            f"the bundle {uri} has the digest {found}, and nothing of it is run",
            remedy="somebody wrote to the artifact root: look at who may",
        )
    return data


def _working_tree(scene: Scene, recorded: Recorded) -> Code:
    """The step as the DAG file has it now, sliced and bundled as a run would."""
    if scene.dag is None:
        raise InvalidStep(
            f"the working tree has no DAG `{recorded.identity.dag_id}`",
            [Problem(error, "mend the file") for error in scene.import_errors],
            remedy="point `AIRFLOW__CORE__DAGS_FOLDER` at the folder of your clone",
        )
    task = step_of(scene.dag, recorded.identity.task_id)
    _refuse_templates(task)
    shipped = task.shipped_payload(dag_file=scene.dag.fileloc, root=scene.root)
    if shipped.payload is None:
        raise InvalidStep(f"`{task.task_id}` is a container's command now", remedy="use `--code recorded`")
    payload = dict(shipped.payload)
    if payload["kind"] == "script" and recorded.context["payload"]["kind"] == "script":
        payload["argv"] = recorded.context["payload"].get("argv", [])
    lines = requirement_lines(task.requirements, dag_file=scene.dag.fileloc, root=scene.root)
    return Code(
        bundle=step_bundle(shipped.source, shipped.files).data,
        payload=payload,
        requirements=list(with_codec_packages(lines, return_types=shipped.return_types, inputs=artifacts_of(recorded))),
        replace=tuple(task.replace),
        env=task.env,
    )


def _refuse_templates(task: Any) -> None:
    """What is rendered by a run is not known here."""
    fields = ("entrypoint", "script", "source", "requirements", "env")
    templated = [
        name for name in fields if "{{" in str(getattr(task, name, "")) or "{%" in str(getattr(task, name, ""))
    ]
    if templated:
        raise InvalidStep(
            "the working tree's step cannot be replayed",
            [
                Problem("it is a template, which only a run renders", "use `--code recorded`", name)
                for name in templated
            ],
        )


def ask_backend(scene: Scene, recorded: Recorded, store: ObjectStore) -> FoundJob | None:
    """
    The recorded job, from its backend.

    Asked with what the stack file says, since the settings in the ledger are no witness for the ledger.

    :raises MlxError: it cannot be asked.
    """
    record = recorded.record
    stack = scene.stacks.stacks.get(record.stack)
    candidates = stack.targets.get(record.target, ()) if stack else ()
    target = candidates[record.target_index] if record.target_index < len(candidates) else None
    if stack is None or target is None or target.backend != record.backend or target.settings is None:
        raise InvalidStep(f"no stack file says how: it ran on stack `{record.stack}`, target `{record.target}`")
    kind, settings = backend_class(target.backend), with_work_dir(target.settings, scene)
    folder = getattr(settings, "work_dir", "")
    if folder and is_within(Path(folder).absolute().as_uri(), (recorded.root, stack.artifacts.root)):
        raise InvalidStep("it keeps its own records in the artifact root")
    backend = kind(settings, target.conn_id, store, read_connection=read_connection)
    return backend.find(recorded.identity.job_name(record.attempt))


# --- surroundings ----------------------------------------------------------------------------------------------------


def _target_env(scene: Scene, recorded: Recorded) -> dict[str, str]:
    stack = scene.stacks.stacks.get(recorded.record.stack)
    candidates = stack.targets.get(recorded.record.target, ()) if stack else ()
    index = recorded.record.target_index
    return dict(candidates[index].env) if index < len(candidates) else {}


def _inherits(recorded: Recorded, python: str | None, *, working_tree: bool) -> bool:
    """Whether the interpreter stands for the job's image, so that its packages are the step's too."""
    local = recorded.record.backend == "local" and not working_tree
    return bool(python) or (local and bool(recorded.context.get("environment", {}).get("inherit")))


def _notes(recorded: Recorded, arguments: argparse.Namespace) -> list[str]:
    """What may differ from the recorded run."""
    notes = []
    environment = recorded.context.get("environment", {})
    if not environment.get("requirements") and recorded.record.backend != "local" and not arguments.python:
        notes.append("the step's packages came from its image; `--python PATH` names an interpreter that has them")
    secrets = sorted(recorded.record.request.get("secrets") or {})
    if secrets and isinstance(secrets, list):
        notes.append(f"secrets are not recorded: the step sees {', '.join(secrets)} as they are in this terminal")
    if is_gang(recorded.context):
        notes.append("the step ran as several ranks: here it is the only one, rank 0 of 1")
    ran_on = (recorded.outcome or {}).get("environment", {}).get("python")
    if ran_on and not arguments.python and ran_on.split(".")[:2] != list(map(str, sys.version_info[:2])):
        notes.append(f"it ran on Python {ran_on}, this is {sys.version.split()[0]}; `--python PATH` names another one")
    return notes
