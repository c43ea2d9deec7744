"""
Step + stack → job: pure but for what was read before. ``python -m airflow_provider_mlx plan`` prints the outcome.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import Backend, Brought, TargetSettings, no_connections
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, Problem
from airflow_provider_mlx.runtime.protocol import NO_LAUNCHER, PROTOCOL, Payload, StepContext
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import ArtifactReference, datasets_in
from airflow_provider_mlx.runtime.wire import decode, references
from airflow_provider_mlx.stacks.policy import PolicyQuestion, check_policy
from airflow_provider_mlx.stacks.resolution import ResolvedStep
from airflow_provider_mlx.stacks.stack import PolicyRule, Target
from airflow_provider_mlx.stacks.tracking import with_tracking
from airflow_provider_mlx.step.bundle import Bundle, step_bundle
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.requirements import with_codec_packages
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.return_types import return_type_problems
from airflow_provider_mlx.step.spec import JobSpec, ObjectReference, request_digest

from .asked import asked_fields, asked_of_target, requirement_problems
from .ledger import AttemptRecord, utc_now
from .ports import TryFacts
from .tracking import parent_variables

NATIVE_MARGIN: Final = timedelta(minutes=10)
"""The backend's own limit lies this much after ours: it ends the job only when Airflow is gone."""

BUNDLE_RENEWAL: Final = timedelta(days=1)
"""A bundle in the store that is older is written anew, so that `gc` may remove those that are much older."""

_ALWAYS_REFUSED: Final = frozenset({"command"})
"""What cannot be left out with a warning: without it there is nothing to run."""


@dataclass(frozen=True)
class PlanningOptions:
    """The deployment's settings that a plan depends on."""

    deployment_id: str = ""
    inline_bytes: int = 48 * 1024
    heartbeat_seconds: float = 30.0
    local_allowed: bool = True
    local_work_dir: str = ""
    pool: str = "default_pool"
    execution_timeout: timedelta | None = None
    policy: Sequence[PolicyRule] = ()
    page: str = ""
    """Of the task instance in Airflow's UI."""


@dataclass(frozen=True)
class PlannedAttempt:
    """One attempt, ready to be submitted."""

    backend: Backend
    target: Target
    target_index: int
    stack: str
    spec: JobSpec
    request: Mapping[str, Any]
    context: bytes
    bundle: Bundle | None
    limit: timedelta | None
    nonce: str
    store: ObjectStore
    warnings: tuple[str, ...] = ()

    def upload(self) -> None:
        """Have the bundle in the artifact root, and a young one: `gc` removes old ones that no attempt refers to."""
        if self.bundle is not None and self.spec.bundle is not None:
            self.store.renew(self.spec.bundle.uri, self.bundle.data, older_than=BUNDLE_RENEWAL, now=utc_now())

    def record(
        self, *, facts: TryFacts, started_at: datetime, deadline: datetime | None, preemptions_left: int
    ) -> AttemptRecord:
        """What the ledger keeps of this plan."""
        return AttemptRecord(
            attempt=self.spec.attempt, job=self.spec.name, backend=self.backend.name, conn_id=self.target.conn_id,
            stack=self.stack, target=self.target.name, target_index=self.target_index,
            settings=self.backend.settings.model_dump(mode="json"), request=self.request,
            request_digest=request_digest(self.request), nonce=self.nonce,
            context_sha256=hashlib.sha256(self.context).hexdigest(),
            bundle_sha256=self.spec.bundle.sha256 if self.spec.bundle else "",
            bundle_size=self.spec.bundle.size if self.spec.bundle else 0,
            try_number=facts.try_number, max_tries=facts.max_tries, run_started=facts.run_started,
            run_cleared=facts.run_cleared, started_at=started_at, deadline=deadline, preemptions_left=preemptions_left,
            limit_seconds=self.limit.total_seconds() if self.limit else None,
            queue_until=_after(started_at, self.target.max_queue),
            give_up_at=_after(started_at, self.target.give_up_pending_after),
        )  # fmt: skip


@dataclass(frozen=True)
class Planner:
    """
    Plans the attempts of one step on one stack.

    :param inputs: the artifacts that the arguments refer to, already checked.
    :param find_backend: a backend's class by its name; tests bring their own.
    """

    definition: StepDefinition
    identity: TaskInstanceIdentity
    resolved: ResolvedStep
    options: PlanningOptions
    store: ObjectStore
    inputs: tuple[ArtifactReference, ...] = ()
    try_number: int = 1
    find_backend: Callable[[str], type[Backend]] = backend_class
    read_connection: Callable[[str], Any] = no_connections
    recorded_bundle: ObjectReference | None = None
    """The code of an attempt before, which is in the artifact root already."""
    openlineage: Callable[[int, Payload | None], str] = lambda attempt, payload: ""
    """What an attempt's code finds as ``OPENLINEAGE_CONTEXT``; empty where lineage is off."""
    checkpoints_since: int = 1
    """The attempt from which on checkpoints may be used: a clear starts without any."""

    def recorded(self, record: AttemptRecord, context: bytes) -> Planner:
        """
        A planner of further attempts of the same try: arguments, code and packages as the attempt before had them.

        :param context: that attempt's ``context.json``.
        :raises ArtifactError: it is not the one that was recorded.
        """
        if hashlib.sha256(context).hexdigest() != record.context_sha256:
            raise ArtifactError(
                f"the context of attempt {record.attempt} is not the one that was recorded", job=str(self.identity),
                remedy="somebody wrote to the artifact root; look at who may, and clear the task",
            )  # fmt: skip
        told: StepContext = json.loads(context)
        uri = join(self.resolved.artifacts.root, "bundles", f"{record.bundle_sha256}.zip")
        return replace(
            self,
            definition=replace(
                self.definition, payload=told.get("payload"), arguments=told["arguments"], source=None, files={},
                requirements=tuple(told["environment"]["requirements"]), warnings=(),
                replace=tuple(told["environment"]["replace"]), multiple_outputs=told["outputs"]["multiple"],
            ),
            inputs=tuple(references(decode(dict(told["arguments"])))),
            recorded_bundle=ObjectReference(uri, record.bundle_sha256, record.bundle_size),
            checkpoints_since=told["checkpoints_since"],
        )  # fmt: skip

    @cached_property
    def bundle(self) -> Bundle | None:
        """The code, the same for every attempt and target."""
        if self.definition.payload is None or self.recorded_bundle is not None:
            return None
        return step_bundle(self.definition.source, self.definition.files)

    def check(self) -> None:
        """
        Plan every candidate of the fallback list before the first submission.

        :raises InvalidStep: any of them cannot run this step; all problems at once.
        """
        problems: list[Problem] = []
        for index in range(len(self.resolved.targets)):
            try:
                self.plan(1, index)
            except InvalidStep as error:
                problems += error.problems or [Problem(error.what, error.remedy)]
        if problems:
            raise InvalidStep(self._headline(), list(dict.fromkeys(problems)), where=self.definition.origin)

    def plan(self, number: int, target_index: int = 0) -> PlannedAttempt:
        """
        The attempt of this number on a candidate of the target.

        :raises InvalidStep: the backend cannot honour the step, or the policy refuses it.
        """
        target = self.resolved.targets[target_index]
        backend = self._backend(target)
        spec = self._spec(number, target)
        problems, warnings, resources = self._honoured(backend, spec, target)
        spec = replace(spec, resources=resources)
        context = self._context(spec, target, backend)
        if self.definition.payload is not None:
            spec = replace(spec, context=_object(join(spec.outputs_uri, "context.json"), context))
        problems += (
            backend.problems(spec)
            + self._deployment(backend)
            + return_type_problems(self.definition.return_types)
            + self._policy(target, spec, backend.brought(spec))
            + requirement_problems(self.definition.requirements, target.wheelhouse, self._readable)
        )
        if problems:
            raise InvalidStep(self._headline(target), problems, where=self.definition.origin)
        return PlannedAttempt(
            backend=backend, target=target, target_index=target_index, stack=self.resolved.stack, spec=spec,
            request=backend.plan(spec), context=context, bundle=self.bundle, limit=self._limit(target, spec.resources),
            nonce=self._nonce(number), store=self.store, warnings=(*warnings, *self.definition.warnings),
        )  # fmt: skip

    # --- parts ---------------------------------------------------------------------------------------------------

    def _backend(self, target: Target) -> Backend:
        kind = self.find_backend(target.backend)
        settings = target.settings if target.settings is not None else kind.settings_model()
        if "work_dir" in type(settings).model_fields and not getattr(settings, "work_dir", ""):
            settings = settings.model_copy(update={"work_dir": self.options.local_work_dir})
        assert isinstance(settings, TargetSettings)
        return kind(settings, target.conn_id, self.store, read_connection=self.read_connection)

    def _spec(self, number: int, target: Target) -> JobSpec:
        name, root = self.identity.job_name(number), self.resolved.artifacts.root
        resources = Resources.from_wire(target.resources)
        limit = self._limit(target, resources)
        env, secrets = with_tracking(target.tracking, target.env, self._secrets(target))
        return JobSpec(
            identity=self.identity, attempt=number, name=name,
            outputs_uri=join(root, self.identity.attempt_folder(number)),
            bundle=self._bundle_reference(root),
            inputs=tuple(ObjectReference(item.uri, item.sha256, item.size) for item in self.inputs),
            datasets=tuple(dict.fromkeys(item.uri for item in datasets_in(decode(dict(self.definition.arguments))))),
            command=self.definition.command, manifest=self.definition.manifest, image=target.image,
            python=target.python, resources=resources,
            env=env, secrets=secrets, tags=target.tags, goes_on_since=self.checkpoints_since,
            wheelhouse=target.wheelhouse or "", install_client=self.resolved.install_client,
            native_limit_seconds=int((limit + NATIVE_MARGIN).total_seconds()) if limit else None,
        )  # fmt: skip

    def _bundle_reference(self, root: str) -> ObjectReference | None:
        if self.recorded_bundle is not None:
            return self.recorded_bundle if self.recorded_bundle.sha256 else None  # a container command has none
        if self.bundle is None:
            return None
        return ObjectReference(join(root, "bundles", f"{self.bundle.sha256}.zip"), self.bundle.sha256, self.bundle.size)

    def _context(self, spec: JobSpec, target: Target, backend: Backend) -> bytes:
        """
        What the job is told.

        :param spec: with the resources that the backend honours.
        """
        root = self.resolved.artifacts.root
        view = backend.view(spec, root)
        context: dict[str, Any] = {
            "protocol": PROTOCOL,
            "nonce": self._nonce(spec.attempt),
            "step": self.identity.step(try_number=self.try_number, attempt=spec.attempt),
            "arguments": self.definition.arguments,
            "outputs": {
                "uri": spec.outputs_uri,
                "inline_bytes": self.options.inline_bytes,
                "multiple": self.definition.multiple_outputs,
            },
            # the same for every attempt and try of this task instance
            "checkpoint_uri": join(root, self.identity.folder, "checkpoints") if view.keeps_checkpoints else "",
            "checkpoints_since": self.checkpoints_since,
            "store": {**view.store, "allowed": list(self._readable)},
            "environment": {
                "requirements": list(
                    with_codec_packages(
                        self.definition.requirements, return_types=self.definition.return_types, inputs=self.inputs
                    )
                ),
                "inherit": view.inherit_packages,
                "replace": list(self.definition.replace),
                "cache": view.environment_cache,
                "wheelhouse": target.wheelhouse or "",
            },
            "nodes": spec.resources.node_count,
            "launcher": spec.resources.launcher or NO_LAUNCHER,
            "secret_variables": sorted(spec.secrets),
            "heartbeat_seconds": self.options.heartbeat_seconds,
            "grace_seconds": 30.0,
        }
        if self.definition.payload is not None:
            context["payload"] = self.definition.payload
        if lineage := self.openlineage(spec.attempt, self.definition.payload):
            context["openlineage"] = lineage
        if target.tracking:
            context["tracking"] = parent_variables(
                target.tracking, self.identity, attempt=spec.attempt, try_number=self.try_number, lineage=lineage,
                page=self.options.page,
            )  # fmt: skip
        typed: StepContext = context  # type: ignore[assignment]
        return (json.dumps(typed, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    def _secrets(self, target: Target) -> dict[str, Mapping[str, Any]]:
        missing = [
            Problem(
                f"the target `{target.name}` maps no secret `{logical}`",
                f"add it under `secrets:` of the target; there are {', '.join(sorted(target.secrets)) or 'none'}",
                field=f"secrets[{variable!r}]",
            )
            for variable, logical in self.definition.secrets.items()
            if logical not in target.secrets
        ]
        if missing:
            raise InvalidStep(self._headline(target), missing, where=self.definition.origin)
        return {variable: target.secrets[logical] for variable, logical in self.definition.secrets.items()}

    def _limit(self, target: Target, resources: Resources) -> timedelta | None:
        limits = [resources.time_limit, target.max_runtime, self.options.execution_timeout]
        return min((limit for limit in limits if limit is not None), default=None)

    def _nonce(self, number: int) -> str:
        return hashlib.sha256(f"{self.identity.digest}/{number}".encode()).hexdigest()[:16]

    @property
    def _readable(self) -> tuple[str, ...]:
        """The prefixes from which a job may read."""
        return (self.resolved.artifacts.root, *self.resolved.artifacts.allowed)

    # --- refusals ------------------------------------------------------------------------------------------------

    def _honoured(self, backend: Backend, spec: JobSpec, target: Target) -> tuple[list[Problem], list[str], Resources]:
        """What the backend cannot honour: problems, or warnings and resources without it where the stack says so."""
        asked = asked_fields(spec) | asked_of_target(target)
        refused = {name: reason for name, reason in backend.cannot.items() if name in asked}
        why = {name: reason.partition(" → ") for name, reason in refused.items()}
        if self.resolved.on_unsupported == "warn":
            without = {"gpu" if name == "fractional_gpu" else name for name in refused}
            kept = {name: value for name, value in spec.resources.to_wire().items() if name not in without}
            warnings = [
                f"{name}={asked[name]!r} has no effect on `{backend.name}`: {why[name][0]}"
                for name in refused
                if name not in _ALWAYS_REFUSED
            ]
            problems = [Problem(why[name][0], why[name][2], name) for name in refused if name in _ALWAYS_REFUSED]
            return problems, warnings, Resources.from_wire(kept)
        return (
            [Problem(what, way, f"{name}={asked[name]!r}") for name, (what, _, way) in why.items()],
            [],
            spec.resources,
        )

    def _deployment(self, backend: Backend) -> list[Problem]:
        problems = []
        if backend.needs_deployment_id and not self.options.deployment_id:
            problems.append(
                Problem(
                    f"`[mlx] deployment_id` is not set, and other Airflows may see the jobs of `{backend.name}`",
                    "set AIRFLOW__MLX__DEPLOYMENT_ID to a name of this Airflow, as prod-eu",
                )
            )
        if backend.name == "local" and not self.options.local_allowed:
            problems.append(
                Problem(
                    "steps may not run as processes of this worker: `[mlx] allow_local` does not allow it",
                    "choose another stack, run under `airflow dags test`, or set AIRFLOW__MLX__ALLOW_LOCAL=true; "
                    "`local` isolates packages, not trust",
                )
            )
        return problems

    def _policy(self, target: Target, spec: JobSpec, brought: Brought | None) -> list[Problem]:
        gpus = spec.resources.gpus
        settings = target.settings.model_dump() if target.settings is not None else {}
        question = PolicyQuestion(
            dag_id=self.identity.dag_id, task_id=self.identity.task_id, stack=self.resolved.stack,
            target=self.resolved.target, image=target.image,
            service_account=settings.get("service_account"), role=settings.get("role_arn"),
            overrides=self.resolved.overrides, gpu=(gpus.count if gpus else 0) * spec.resources.node_count,
            nodes=spec.resources.node_count, max_runtime=self._limit(target, spec.resources),
            pool=self.options.pool,
        )  # fmt: skip
        if brought is None:
            return check_policy(self.options.policy, question)
        question = replace(question, gpu=brought.gpus, nodes=brought.pods, service_account=None)
        questions = [question, *(replace(question, image=image) for image in brought.images)]
        questions += [replace(question, service_account=account) for account in brought.service_accounts]
        return list(dict.fromkeys(problem for one in questions for problem in check_policy(self.options.policy, one)))

    def _headline(self, target: Target | None = None) -> str:
        where = f"stack `{self.resolved.stack}`, target `{self.resolved.target}`"
        backend = f" ({target.backend})" if target else ""
        return f"step `{self.identity.task_id}` of `{self.identity.dag_id}` cannot run on {where}{backend}"


def _after(start: datetime, span: timedelta | None) -> datetime | None:
    return start + span if span is not None else None


def _object(uri: str, data: bytes) -> ObjectReference:
    return ObjectReference(uri, hashlib.sha256(data).hexdigest(), len(data))
