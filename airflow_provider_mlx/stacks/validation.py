"""Documents → stacks: every rule of a stack file, every problem of all files at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.candidates import BackendSettings, TargetReader
from airflow_provider_mlx.stacks.explanations import apply_model
from airflow_provider_mlx.stacks.extends import flatten
from airflow_provider_mlx.stacks.model import FileModel, PolicyModel, StackModel
from airflow_provider_mlx.stacks.parsing import Document, Entry, MappingNode, Node, plain
from airflow_provider_mlx.stacks.places import Place, nearest, problem_at, refuse
from airflow_provider_mlx.stacks.refusals import refused_content
from airflow_provider_mlx.stacks.stack import (
    BUILT_IN,
    DEFAULT_TARGET,
    Artifacts,
    PolicyRule,
    Stack,
    Stacks,
    Target,
)
from airflow_provider_mlx.stacks.tracking import merge_tracking


@dataclass(frozen=True)
class StackFile:
    """A parsed file, and whether it belongs to the deployment; only such a file may hold a ``policy``."""

    document: Document
    of_deployment: bool


def validate_files(
    files: Sequence[StackFile], backends: BackendSettings, *, local_root: str = "", problems: Sequence[Problem] = ()
) -> Stacks:
    """
    The stacks of some files.

    :param files: those of the deployment first.
    :param backends: the settings of each installed backend.
    :param local_root: the artifact root, a URI, of a stack that names none and uses nothing but ``local``.
    :param problems: what is wrong already, as a file that does not exist.
    :raises InvalidStep: anything is wrong in any of the files.
    """
    validation = _Validation(backends, local_root)
    validation.problems.extend(problems)
    for file in files:
        validation.read(file)
    stacks = validation.finish()
    names = tuple(file.document.source.name for file in files)
    if validation.problems:
        unread = (problem.field for problem in problems if problem.field)
        raise refuse(validation.problems, dict.fromkeys([*names, *unread]))
    return Stacks(
        stacks=stacks,
        default=validation.default,
        policy=tuple(validation.policy),
        files=names,
        backends=tuple(sorted(backends)),
    )


class _Validation:
    """Reads file by file, then each stack with what it inherits; collects problems on the way."""

    def __init__(self, backends: BackendSettings, local_root: str) -> None:
        self.backends = backends
        self.local_root = local_root
        self.problems: list[Problem] = []
        self.entries: dict[str, Entry] = {}
        self.of_deployment: dict[str, Entry] = {}
        self.default: str | None = None
        self.defaults: list[Entry] = []
        self.policy: list[PolicyRule] = []

    def read(self, file: StackFile) -> None:
        """What one file says on its first level."""
        document = file.document
        self.problems.extend(document.problems)
        root = document.root
        start = Place(document.source, 1, 1, 1, 1)
        if root is None:
            if not document.problems:
                self._refuse(start, "the file is empty", "add `stacks:`")
            return
        self.problems.extend(refused_content(root))
        model, wrong, missing = apply_model(FileModel, root, start, "the file")
        self.problems.extend([*wrong, *missing])
        if not isinstance(root, MappingNode):
            return
        if "stacks" not in root.entries and "policy" not in root.entries:
            self._refuse(start, "the file defines no stack", "add `stacks:`")
        if "default" in root.entries:
            self.defaults.append(root.entries["default"])
        if "policy" in root.entries:
            self._policy(root.entries["policy"], model.policy if model else None, file)
        stacks = root.entries.get("stacks")
        for name, entry in stacks.node.entries.items() if stacks and isinstance(stacks.node, MappingNode) else ():
            self._collect(name, entry)
        if file.of_deployment:
            self.of_deployment = dict(self.entries)

    def _collect(self, name: str, entry: Entry) -> None:
        earlier = self.entries.get(name)
        if earlier is not None:
            what = f"stack `{name}` is defined in {earlier.place} already"
            remedy = f"give this one another name; it may say `extends: {name}`"
            self._refuse(entry.place, what, remedy)
        elif not isinstance(entry.node, MappingNode):
            self._refuse(entry.place, f"stack `{name}` is not a mapping", "give it `artifacts:` and `targets:`")
        else:
            self.entries[name] = entry

    def _policy(self, entry: Entry, policy: PolicyModel | None, file: StackFile) -> None:
        if not file.of_deployment:
            self._refuse(
                entry.place,
                "`policy` stands in a file of a DAG bundle",
                "move it to a file of the deployment, `[mlx] stacks_files`",
            )
            return
        for pattern, rule in policy.targets.items() if policy else ():
            values = {key: _frozen(value) for key, value in rule.model_dump().items()}
            place = _entries(entry.node, "targets")[pattern].place
            self.policy.append(PolicyRule(pattern, place.source.name, str(place), **values))

    def finish(self) -> Mapping[str, Stack]:
        """Every stack with what it inherits; and whether the defaults exist."""
        parents: set[str] = set()
        drafts: dict[str, tuple[Stack | None, list[Problem]]] = {}
        flat = {name: flatten(name, self._visible_from(name)) for name in self.entries}
        # parents first: what is wrong in a parent is said of the parent, not of each of its children
        for name, (merged, ancestors, wrong) in sorted(flat.items(), key=lambda item: len(item[1][1])):
            self.problems.extend(wrong)
            parents.update(ancestors)
            if merged is not None:
                drafts[name] = self._stack(name, merged, self.entries[name].place, tuple(ancestors))
        stacks: dict[str, Stack] = {}
        for name, (stack, missing) in drafts.items():
            if missing and name not in parents:
                self.problems.extend(missing)
            if stack is not None:
                stacks[name] = stack
        for default in self.defaults:
            value = plain(default.node)
            if isinstance(value, str) and value not in self.entries and value != BUILT_IN:
                remedy = nearest(value, self.entries)
                self._refuse(default.node.place, f"the default stack `{value}` is not defined", remedy)
            self.default = self.default or value
        return stacks

    def _visible_from(self, name: str) -> Mapping[str, Entry]:
        """The stacks that one may extend: a bundle's stack those of the deployment too, never the other way round."""
        return self.of_deployment if name in self.of_deployment else self.entries

    def _stack(
        self, name: str, node: MappingNode, place: Place, ancestors: tuple[str, ...]
    ) -> tuple[Stack | None, list[Problem]]:
        reader = TargetReader(self.backends)
        subject = f"stack `{name}`"
        model, wrong, missing = apply_model(StackModel, node, place, subject, ("extends",))
        self.problems.extend(wrong)
        targets = {target: reader.candidates(target, entry) for target, entry in _entries(node, "targets").items()}
        overrides = [reader.override(pattern, entry) for pattern, entry in _entries(node, "tasks").items()]
        self.problems.extend(reader.problems)
        missing = [*missing, *reader.missing]
        lacking = _lacks_root(node)
        if lacking and not _is_local(targets):
            missing.insert(0, problem_at(place, f"{subject} lacks `{lacking}`", f"add `{lacking.rpartition('.')[2]}:`"))
        if wrong or reader.problems:
            return None, missing
        tasks = tuple(override for override in overrides if override is not None)
        said = model.artifacts if model else None
        root = said.root if said and said.root else self.local_root
        artifacts = Artifacts(root, said.conn_id, tuple(said.allowed), said.browse) if said else Artifacts(root)
        options = model.model_dump(include={"strict", "on_unsupported", "install_client", "tags"}) if model else {}
        stack = Stack(
            name=name,
            where=str(place),
            artifacts=artifacts,
            targets=_tracked(targets, model),
            tasks=tasks,
            extends=ancestors,
            incomplete=tuple(missing),
            **options,
        )
        self._check_names(stack, node)
        return stack, missing

    def _check_names(self, stack: Stack, node: MappingNode) -> None:
        """A target that an override or ``strict: false`` falls back to must exist."""
        if stack.incomplete:
            return
        for override in stack.tasks:
            if override.target is not None and override.target not in stack.targets:
                inside = _entries(node, "tasks")[override.pattern].node
                assert isinstance(inside, MappingNode)
                place = inside.entries["target"].node.place
                what = f"stack `{stack.name}` has no target `{override.target}`"
                self._refuse(place, what, nearest(override.target, stack.targets))
        if not stack.strict and DEFAULT_TARGET not in stack.targets:
            what = f"stack `{stack.name}` is not strict, and has no target `{DEFAULT_TARGET}` to fall back to"
            self._refuse(node.entries["strict"].place, what, f"add a target `{DEFAULT_TARGET}`")

    def _refuse(self, place: Place, what: str, remedy: str) -> None:
        self.problems.append(problem_at(place, what, remedy))


def built_in_stack(backends: BackendSettings, local_root: str) -> Stack:
    """
    The stack that needs no file: every target is a child process of this machine.

    :param backends: must know ``local``.
    :param local_root: the URI of its artifact root.
    """
    where = "the built-in stack"
    target = Target(
        name=DEFAULT_TARGET, backend="local", where=where, settings=backends["local"].model_validate({}), given={}
    )
    return Stack(
        name=BUILT_IN,
        where=where,
        artifacts=Artifacts(root=local_root),
        targets={DEFAULT_TARGET: (target,)},
        strict=False,
        on_unsupported="warn",  # a laptop runs the steps of a cluster as well as it can
    )


def _tracked(targets: Mapping[str, tuple[Target, ...]], stack: StackModel | None) -> Mapping[str, tuple[Target, ...]]:
    """The targets with the stack's `tracking` below their own."""
    of_stack = stack.tracking.model_dump(exclude_unset=True) if stack else {}
    return {
        name: tuple(replace(target, tracking=merge_tracking(of_stack, target.tracking)) for target in candidates)
        for name, candidates in targets.items()
    }


def _lacks_root(node: MappingNode) -> str:
    """The key that is missing for an artifact root; empty if there is one."""
    if "artifacts" not in node.entries:
        return "artifacts"
    return "" if "root" in _entries(node, "artifacts") else "artifacts.root"


def _is_local(targets: Mapping[str, Sequence[Target]]) -> bool:
    """Whether a stack uses nothing but this host, so that a folder of this host can hold its artifacts."""
    return bool(targets) and all(target.backend == "local" for candidates in targets.values() for target in candidates)


def _entries(node: Node, key: str) -> Mapping[str, Entry]:
    entry = node.entries.get(key) if isinstance(node, MappingNode) else None
    return entry.node.entries if entry and isinstance(entry.node, MappingNode) else {}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
