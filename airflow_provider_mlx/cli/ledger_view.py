"""What maintenance sees of one artifact root: its runs, whose they are, and what Airflow says about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import ResultMissing
from airflow_provider_mlx.jobs.ledger import AttemptLedger, utc_now
from airflow_provider_mlx.maintenance.listing import AttemptFolder, RunFolder, group
from airflow_provider_mlx.runtime.protocol import CONTEXT_FILE
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.identity import TaskInstanceIdentity, path_segment

from .places import Place
from .task_states import RunStates, run_states, state_of

_CONTEXT_LIMIT: Final = 16 * 1024 * 1024
_CONTROLS: Final = 5
"""How many of the ledger's latest runs are looked for in Airflow, to see whether it is the right one."""


@dataclass
class LedgerView:
    """
    One artifact root in the eyes of one deployment.

    :param runs: all runs, also those of other deployments.
    :param all_gone: an Airflow that knows none of the latest runs is believed.
    """

    place: Place
    store: ObjectStore
    deployment: str
    runs: list[RunFolder]
    states: RunStates
    all_gone: bool = False
    now: Callable[[], datetime] = utc_now
    _identities: dict[str, tuple[str, str] | None] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The artifact root."""
        return self.place.artifacts.root

    @property
    def ours(self) -> list[RunFolder]:
        """The runs of this deployment."""
        return [run for run in self.runs if run.deployment == path_segment(self.deployment)]

    def list_again(self) -> list[RunFolder]:
        """All runs, as they are now."""
        return group(self.store.list(join(self.root, "runs")), self.root)

    @cached_property
    def knows_runs(self) -> bool:
        """Whether Airflow knows any of the ledger's latest runs; else "gone" may be a wrong database's word."""
        newest = sorted(self.ours, key=lambda run: run.modified, reverse=True)[:_CONTROLS]
        return self.all_gone or any(self.states_of(run) for run in newest)

    def states_of(self, run: RunFolder) -> Mapping[str, str] | None:
        """Airflow's words for a run; ``None`` without an answer, and for a folder whose run is not known."""
        who = self.identify(run)
        return None if who is None else self.states(*who)

    def identify(self, run: RunFolder) -> tuple[str, str] | None:
        """DAG id and run id of a folder, from a context in it; ``None`` where it has none, or another's."""
        if run.uri not in self._identities:
            uri = run.a_context
            step = _step(self.store, uri) if uri else None
            known = step is not None and run.uri.endswith(
                "/".join(path_segment(str(step.get(key))) for key in ("deployment_id", "dag_id", "run_id"))
            )
            self._identities[run.uri] = (str(step["dag_id"]), str(step["run_id"])) if step and known else None
        return self._identities[run.uri]

    def identity_of(self, attempt: AttemptFolder) -> TaskInstanceIdentity | None:
        """Whose attempt it is, by its own context; ``None`` where the context says another folder."""
        facts = attempt.objects.get(CONTEXT_FILE)
        step = _step(self.store, facts.uri) if facts else None
        if step is None:
            return None
        try:
            found = TaskInstanceIdentity(
                str(step["deployment_id"]), str(step["dag_id"]), str(step["run_id"]), str(step["task_id"]),
                int(step["map_index"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            return None
        agrees = join(self.root, found.attempt_folder(attempt.number)) == attempt.uri
        return found if agrees and found.deployment_id == self.deployment else None

    def task_state(self, identity: TaskInstanceIdentity) -> str | None:
        """Airflow's word for one task instance."""
        return state_of(self.states(identity.dag_id, identity.run_id), identity.task_id, identity.map_index)

    def bundle_of(self, attempt: AttemptFolder) -> str:
        """
        The digest of an attempt's bundle; empty for a container's command and for an attempt that was closed.

        :raises ResultMissing: its record cannot be read, so that nobody knows what it needs.
        """
        if not attempt.is_recorded:
            return ""
        data = self.store.read(attempt.objects["job.json"].uri, limit=_CONTEXT_LIMIT)
        try:
            return "" if data is None else str(json.loads(data).get("bundle_sha256", ""))
        except (ValueError, AttributeError) as error:
            raise ResultMissing(
                f"a record cannot be read, so no bundle is removed: {error}", where=attempt.uri,
                remedy="something else wrote there: look at the file",
            ) from error  # fmt: skip

    def ledger(self, identity: TaskInstanceIdentity, number: int) -> AttemptLedger:
        """The ledger of one attempt."""
        return AttemptLedger(self.store, self.root, identity, number)


def view_of(place: Place, deployment: str, *, all_gone: bool = False, states: RunStates | None = None) -> LedgerView:
    """
    List an artifact root.

    :raises MlxError: it cannot be read.
    """
    store = place.open()
    root = place.artifacts.root
    runs = group(store.list(join(root, "runs")), root)
    return LedgerView(place, store, deployment, runs, states or run_states(), all_gone)


def _step(store: ObjectStore, uri: str) -> Mapping[str, Any] | None:
    data = store.read(uri, limit=_CONTEXT_LIMIT)
    try:
        found = json.loads(data or b"{}").get("step")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, dict) else None
