"""
Real steps for the contract: planned by the planner, with a real bundle, context and ledger folder.

``python -m airflow_provider_mlx.testing.steps plan|submit …`` does the same in a process of its own, where a network
connection during planning is an error.
"""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import Backend, JobHandle
from airflow_provider_mlx.jobs.ledger import AttemptLedger
from airflow_provider_mlx.jobs.plan import PlannedAttempt, Planner, PlanningOptions
from airflow_provider_mlx.runtime.protocol import Arguments, Payload
from airflow_provider_mlx.stacks.resolution import ResolvedStep
from airflow_provider_mlx.stacks.stack import Artifacts, Target
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.resources import Resources

ORIGIN: Final = "dags/contract.py"
FIRST_LINE: Final = 11
"""The step's first line in its (invented) DAG file."""

_MODULE: Final = "contract_step"


@dataclass(frozen=True)
class ContractStep:
    """
    One step of the suite.

    :param source: a module with a function ``run``.
    :param secrets: environment variable → the backend's reference to a secret.
    :param target: further common fields of the target, as a stack file gives them.
    """

    source: str = "def run():\n    return 1\n"
    run_id: str = "contract"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    command: tuple[str, ...] | None = None
    image: str | None = None
    target: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> TaskInstanceIdentity:
        """Who the step is."""
        return TaskInstanceIdentity("contract", "contract", self.run_id, "step")

    def definition(self) -> StepDefinition:
        """As the operator would make it."""
        logical = {name: name.lower() for name in self.secrets}
        if self.command is not None:
            return StepDefinition(command=self.command, secrets=logical)
        text = textwrap.dedent(self.source).lstrip("\n")
        payload = Payload(
            kind="function",
            module=_MODULE,
            function="run",
            origin=ORIGIN,
            lines=[[1, FIRST_LINE, text.count("\n") + 1]],
        )
        return StepDefinition(
            payload=payload,
            files={f"{_MODULE}.py": text.encode()},
            arguments=Arguments(args=[], kwargs=dict(self.arguments)),
            secrets=logical,
            origin=f"{ORIGIN}:{FIRST_LINE}",
        )

    def planner(self, backend: Backend, root: str) -> Planner:
        """The planner of this step on one target of this backend, whose steps may need an image: `image_for_tests`."""
        image = self.image or getattr(backend, "image_for_tests", None)
        target = Target(
            name="default", backend=backend.name, where="the contract suite", settings=backend.settings,
            conn_id=backend.conn_id, image=image, env=self.env, resources=self.resources.to_wire(),
            secrets={name.lower(): reference for name, reference in self.secrets.items()}, **self.target,
        )  # fmt: skip
        resolved = ResolvedStep(
            stack="contract", artifacts=Artifacts(root), target="default", targets=(target,), on_unsupported="error",
            install_client=False, overrides=(), why=(),
        )  # fmt: skip
        return Planner(
            definition=self.definition(), identity=self.identity, resolved=resolved, store=backend.store,
            options=PlanningOptions(deployment_id="contract", heartbeat_seconds=30.0),
            find_backend=lambda name: type(backend), read_connection=backend.read_connection,
        )  # fmt: skip

    def plan(self, backend: Backend, root: str, attempt: int = 1) -> PlannedAttempt:
        """
        The planned attempt.

        :raises InvalidStep: the backend cannot honour the step.
        """
        return self.planner(backend, root).plan(attempt)

    def prepare(self, backend: Backend, root: str, attempt: int = 1) -> Mapping[str, Any]:
        """Put bundle and context where the job will look for them; the request."""
        planned = self.plan(backend, root, attempt)
        planned.upload()
        self.ledger(backend, root, attempt).take(planned.context)
        return planned.request

    def submit(self, backend: Backend, root: str, attempt: int = 1) -> JobHandle:
        """Prepare and submit."""
        return backend.submit(self.prepare(backend, root, attempt))

    def ledger(self, backend: Backend, root: str, attempt: int = 1) -> AttemptLedger:
        """The attempt's ledger."""
        return AttemptLedger(backend.store, root, self.identity, attempt)


def make_backend(where: str, settings: Mapping[str, Any], conn_id: str | None, store: ObjectStore | None) -> Backend:
    """A backend by ``module:class``."""
    module, _, name = where.partition(":")
    kind: type[Backend] = getattr(importlib.import_module(module), name)
    return kind.from_recorded(settings, conn_id, store)


def describe_backend(backend: Backend) -> dict[str, Any]:
    """What another process needs to make the same backend."""
    kind = type(backend)
    return {
        "where": f"{kind.__module__}:{kind.__qualname__}",
        "settings": backend.settings.model_dump(mode="json"),
        "conn_id": backend.conn_id,
    }


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        raise RuntimeError(f"a plan must not do that: {event} {arguments}")


def main() -> None:
    """``plan`` or ``submit``, then one JSON argument; prints JSON."""
    verb, given = sys.argv[1], json.loads(sys.argv[2])
    if verb == "plan":
        sys.addaudithook(_no_network)
        backend = make_backend(**given["backend"], store=None)
        print(json.dumps(ContractStep(**given["step"]).plan(backend, given["root"]).request))
        return
    store = open_store(given["root"], given["artifacts_conn_id"])
    backend = make_backend(**given["backend"], store=store)
    print(json.dumps(backend.submit(given["request"]).to_wire()))


if __name__ == "__main__":
    main()
