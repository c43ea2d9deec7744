"""
The contract that every backend keeps. A backend's test module is a fixture and its declared differences::

    class TestMine(BackendContract):
        cannot = {"spot": "there is nothing to take back → leave spot out"}

        @pytest.fixture
        def backend(self, store):
            return MyBackend(MySettings(), store=store)

Everything goes through the public verbs and the ledger. Steps are planned by the real planner and run by the real
runtime, so a backend that passes runs users' steps.
"""

from __future__ import annotations

import concurrent.futures
import copy
import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import pytest

from airflow_provider_mlx.backends.base import Backend, JobHandle, State
from airflow_provider_mlx.exceptions import InvalidStep, JobConflict
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.spec import request_digest

from .capabilities import capability_row
from .contract_fixtures import ContractFixtures
from .observing import ObserverCases
from .steps import FIRST_LINE, ORIGIN, ContractStep, describe_backend

ASKS: Final[Mapping[str, ContractStep]] = {
    "cpu": ContractStep(resources=Resources(cpu=1)),
    "memory": ContractStep(resources=Resources(memory="1Gi")),
    "gpu": ContractStep(resources=Resources(gpu=1)),
    "fractional_gpu": ContractStep(resources=Resources(gpu=0.5)),
    "shm": ContractStep(resources=Resources(shm="1Gi")),
    "disk": ContractStep(resources=Resources(disk="1Gi")),
    "nodes": ContractStep(resources=Resources(nodes=2)),
    "launcher": ContractStep(resources=Resources(launcher="torchrun")),
    "spot": ContractStep(resources=Resources(spot=True)),
    "priority": ContractStep(resources=Resources(priority="high")),
    "timeout": ContractStep(resources=Resources(timeout="1h")),
    "command": ContractStep(command=("true",), image="registry.invalid/image:1"),
    "image": ContractStep(image="registry.invalid/image:1"),
    "max_queue": ContractStep(target={"max_queue": timedelta(hours=1)}),
    "give_up_pending_after": ContractStep(target={"give_up_pending_after": timedelta(minutes=5)}),
    "on_demand_fallback": ContractStep(target={"on_demand_fallback": "last"}),
}
"""How a step asks for each thing that a backend may declare it cannot do."""

_SAYS_STARTED: Final = "def run():\n    print('started')\n"

_STUBBORN: Final = """
    import time

    def run():
        print("started", flush=True)
        try:
            time.sleep(120)
        finally:
            print("checkpointed", flush=True)
"""

_TALKS: Final = """
    import time

    def run(count, long):
        print("grüße · 你好 · \\N{ROCKET}")
        print("form feed \\x0c and separator \\u2028 are no line ends")
        print("x" * long)
        for number in range(count):
            print("line", number, flush=True)
            time.sleep(0.01)
"""

_FAILS = "def inner(x):\n    return 1 / x\n\n\ndef run():\n    inner(0)\n"


class BackendContract(ContractFixtures, ObserverCases):
    """
    Subclass it, name it ``Test…``, and give it a ``backend`` fixture.

    :cvar cannot: what the backend declares that it cannot do; must equal the backend's own table.
    :cvar seconds: how long one job of the suite may take from submission to its end.
    :cvar leaves_time_to_stop: whether the user's code is told that it is to stop, and has some seconds then.
    :cvar longest_line: of a log, in characters, that arrives whole.
    :cvar shared: whether another process sees this backend's jobs.
    :cvar artifacts_conn_id: the Airflow connection of the artifact root, for submission from another process.
    """

    cannot: ClassVar[Mapping[str, str]] = {}
    leaves_time_to_stop: ClassVar[bool] = True
    longest_line: ClassVar[int] = 100_000
    shared: ClassVar[bool] = True

    # --- planning ------------------------------------------------------------------------------------------------

    def test_a_plan_is_plain_json_and_changes_nothing(self, backend: Backend, root: str) -> None:
        planned = ContractStep().plan(backend, root)
        spec = copy.deepcopy(planned.spec)
        request = backend.plan(planned.spec)
        assert json.loads(json.dumps(request)) == request
        assert request["name"] == planned.spec.name
        assert planned.spec == spec
        assert list(backend.store.list(root)) == []
        assert backend.find(planned.spec.name) is None

    def test_a_plan_is_the_same_in_every_process_and_needs_no_connection(self, backend: Backend, root: str) -> None:
        step = {"env": {"B": "2", "A": "1"}, "secrets": {}, "arguments": {"z": 1, "a": 2}}
        here = request_digest(ContractStep(**step).plan(backend, root).request)  # type: ignore[arg-type]
        given = {"backend": describe_backend(backend), "root": root, "step": step}
        for seed in ("1", "2"):
            there = self.in_another_process("plan", given, PYTHONHASHSEED=seed)
            assert request_digest(there) == here

    def test_what_the_backend_cannot_do_is_declared(self, backend: Backend) -> None:
        assert dict(backend.cannot) == dict(self.cannot)
        unknown = set(backend.cannot) - set(ASKS)
        assert not unknown, f"no step can ask for {unknown}, so nothing is ever refused for it"
        assert all(" → " in reason for reason in backend.cannot.values()), "a refusal says the way out"
        assert capability_row(type(backend))["function"] == "✓"

    def test_what_the_backend_cannot_do_is_refused(self, backend: Backend, root: str) -> None:
        for name, reason in self.cannot.items():
            with pytest.raises(InvalidStep) as refused:
                ASKS[name].plan(backend, root)
            assert reason.partition(" → ")[0] in str(refused.value), name

    # --- submitting ----------------------------------------------------------------------------------------------

    def test_submitting_twice_makes_one_job(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_SAYS_STARTED)
        handle = started(step)
        assert backend.submit(step.plan(backend, root).request) == handle
        self.finish(backend, handle)
        assert backend.submit(step.plan(backend, root).request) == handle, "also when the job is over"
        assert self.read_log(backend, handle).count("started") == 1

    def test_two_submitters_at_once_make_one_job(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_SAYS_STARTED)
        request = step.prepare(backend, root)

        def submit(_: int) -> JobHandle:
            if not self.shared:
                return backend.submit(request)
            given = {"backend": describe_backend(backend), "root": root, "request": request}
            return JobHandle.from_wire(
                self.in_another_process("submit", {**given, "artifacts_conn_id": self.artifacts_conn_id})
            )

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first, second = pool.map(submit, range(2))
        assert first == second == started(step)
        self.finish(backend, first)
        assert self.read_log(backend, first).count("started") == 1

    def test_another_request_under_the_same_name_is_a_conflict(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_SAYS_STARTED)
        handle = started(step)
        with pytest.raises(JobConflict):
            backend.submit(ContractStep(_SAYS_STARTED, env={"OTHER": "1"}).plan(backend, root).request)
        found = self.finish(backend, handle)
        assert found.status.state is State.SUCCEEDED, "the job that was there goes on"
        assert found.request_digest == request_digest(step.plan(backend, root).request)

    # --- finding -------------------------------------------------------------------------------------------------

    def test_an_unknown_name_is_no_job(self, backend: Backend) -> None:
        assert backend.find(ContractStep(run_id="never submitted").identity.job_name(1)) is None

    def test_a_job_is_found_by_its_name_and_by_its_handle(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_SAYS_STARTED)
        handle = started(step)
        again = JobHandle.from_wire(json.loads(json.dumps(handle.to_wire())))
        assert again == handle
        for found in (backend.find(handle.name), backend.find(handle.name, again.location)):
            assert found is not None
            assert found.handle == handle
            assert found.request_digest == request_digest(step.plan(backend, root).request)
        self.finish(backend, again)

    def test_success_leaves_a_result(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep("def run(a, b):\n    return {'sum': a + b}\n", arguments={"a": 1, "b": 2})
        found = self.finish(backend, started(step))
        result = step.ledger(backend, root).read_result()
        assert found.status.state is State.SUCCEEDED
        assert result is not None
        assert result["outputs"]["return_value"]["value"] == {"sum": 3}
        assert step.ledger(backend, root).read_error() is None

    def test_failure_leaves_an_error_with_the_dag_files_line(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_FAILS)
        found = self.finish(backend, started(step))
        error = step.ledger(backend, root).read_error()
        assert found.status.state is State.FAILED
        assert error is not None
        assert (error["reason"], error["type"]) == ("StepFailed", "ZeroDivisionError")
        own = [(frame["file"], frame["line"], frame["function"]) for frame in error["frames"] if frame["user"]]
        assert own == [(ORIGIN, FIRST_LINE + 5, "run"), (ORIGIN, FIRST_LINE + 1, "inner")]
        assert step.ledger(backend, root).read_result() is None

    # --- stopping ------------------------------------------------------------------------------------------------

    def test_a_stopped_job_may_finish_its_work_and_is_not_green(
        self, backend: Backend, root: str, started: Any
    ) -> None:
        step = ContractStep(_STUBBORN)
        handle = started(step)
        self.wait_for_line(backend, handle, "started")
        found = backend.find(handle.name)
        assert found is not None
        assert (found.status.state, found.status.stopping) == (State.ACTIVE, False)
        backend.cancel(handle)
        backend.cancel(handle)
        found = self.finish(backend, handle)
        assert found.status.state is State.STOPPED
        checkpointed = "checkpointed" in self.read_log(backend, handle)
        assert checkpointed is self.leaves_time_to_stop, "SIGTERM reaches the user's code, where there is one"
        assert step.ledger(backend, root).read_result() is None
        backend.cancel(handle)  # over: no error
        again = backend.find(handle.name)
        assert again is not None
        assert again.status.state is State.STOPPED

    def test_a_stop_after_the_end_changes_nothing(self, backend: Backend, started: Any) -> None:
        handle = started(ContractStep())
        self.finish(backend, handle)
        backend.cancel(handle)
        found = backend.find(handle.name)
        assert found is not None
        assert found.status.state is State.SUCCEEDED

    def test_stopping_and_forgetting_what_is_gone_is_no_error(self, backend: Backend, started: Any) -> None:
        handle = started(ContractStep())
        self.finish(backend, handle)
        assert backend.usage(handle).machines > 0
        backend.forget(handle)
        assert backend.usage(handle).machines > 0
        assert backend.find(handle.name) is None
        assert backend.find(handle.name, handle.location) is None
        backend.cancel(handle)
        backend.forget(handle)

    # --- logs ----------------------------------------------------------------------------------------------------

    def test_log_lines_arrive_whole_in_order_and_once(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep(_TALKS, arguments={"count": 40, "long": self.longest_line})
        handle = started(step)
        live: list[str] = []
        cursor, points, over = "", [("", 0)], False
        while True:
            found = backend.find(handle.name)
            assert found is not None
            over = found.status.state.finished
            chunk = backend.read_log(handle, cursor)
            live += chunk.lines
            points.append((chunk.cursor, len(live)))
            if over and chunk.cursor == cursor:
                break
            cursor = chunk.cursor
            time.sleep(0.02)
        expected = [
            "grüße · 你好 · \N{ROCKET}",
            "form feed \x0c and separator \u2028 are no line ends",
            "x" * self.longest_line,
        ]
        expected += [f"line {number}" for number in range(40)]
        assert [line for line in live if "::mlx::" not in line] == expected
        assert len(points) > 4, "the log must arrive while the job runs"
        for cursor, seen in points[:: max(1, len(points) // 10)]:
            rest = [line for line in live[seen:] if "::mlx::" not in line]
            assert self.read_log(backend, handle, cursor) == rest, "a cursor is good for ever"

    # --- surroundings --------------------------------------------------------------------------------------------

    def test_environment_and_secrets_reach_the_job_and_secrets_nothing_else(
        self, backend: Backend, root: str, started: Any, secret: tuple[Mapping[str, str], str]
    ) -> None:
        reference, value = secret
        source = "import os, hashlib\n\ndef run():\n    digest = hashlib.sha256(os.environ['TOKEN'].encode())\n"
        source += "    return [os.environ['PLAIN'], digest.hexdigest()]\n"
        step = ContractStep(source, env={"PLAIN": "ü = 1"}, secrets={"TOKEN": reference})
        handle = started(step)
        self.finish(backend, handle)
        result = step.ledger(backend, root).read_result()
        assert result is not None
        import hashlib

        assert result["outputs"]["return_value"]["value"] == ["ü = 1", hashlib.sha256(value.encode()).hexdigest()]
        assert value not in json.dumps(step.plan(backend, root).request)
        assert value not in json.dumps(handle.to_wire())
        assert all(value not in line for line in self.read_log(backend, handle))
        for item in backend.store.list(root):
            data = backend.store.read(item.uri)
            assert data is not None
            assert value.encode() not in data, item.uri

    def test_collecting_twice_changes_nothing(self, backend: Backend, root: str, started: Any) -> None:
        step = ContractStep("def run():\n    return b'bytes' * 1000\n")
        handle = started(step)
        self.finish(backend, handle)
        before = {item.uri: item.size for item in backend.store.list(root)}
        backend.collect(handle, self.requests[handle.name])
        assert {item.uri: item.size for item in backend.store.list(root)} == before
        result = step.ledger(backend, root).read_result()
        assert result is not None
        artifact = result["outputs"]["return_value"]["artifact"]
        assert artifact["uri"].startswith(join(step.ledger(backend, root).uri, "outputs"))
        assert before[artifact["uri"]] == artifact["size"]
