"""The part of the contract that is about observers: what the triggerer sees of a connection's jobs, many at once."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import pytest

from airflow_provider_mlx.backends.base import Backend, JobHandle, JobObserver, JobStatus, State

from .steps import ContractStep

_WAITS: Final = "import time\n\ndef run():\n    print('started', flush=True)\n    time.sleep(120)\n"


class ObserverCases(abc.ABC):
    """Part of ``BackendContract``, which brings the fixtures."""

    seconds: ClassVar[float]

    @pytest.fixture
    def observer(self, backend: Backend) -> Iterator[JobObserver]:
        """The backend's observer."""
        observer = backend.observer()
        yield observer
        observer.close()

    def observe_until(
        self,
        observer: JobObserver,
        jobs: Sequence[JobHandle],
        until: Callable[[Mapping[str, JobStatus]], bool],
    ) -> Mapping[str, JobStatus]:
        """Observe until it is so; every look tells of every job of interest, and of no other."""
        end = time.monotonic() + self.seconds
        while True:
            seen = observer.observe(jobs, 0.2)
            assert set(seen) == {job.name for job in jobs}
            if until(seen):
                return seen
            assert time.monotonic() < end, f"after {self.seconds:.0f} s the observer still sees {seen}"
            time.sleep(0.02)

    def test_an_observer_sees_many_jobs_at_once_and_what_became_of_each(
        self, backend: Backend, observer: JobObserver, started: Any
    ) -> None:
        good = started(ContractStep(run_id="good"))
        bad = started(ContractStep("def run():\n    raise ValueError\n", run_id="bad"))
        never = JobHandle(backend.name, ContractStep(run_id="never submitted").identity.job_name(1))
        jobs = (good, bad, never)
        seen = self.observe_until(observer, jobs, lambda seen: all(seen[job.name].state.finished for job in jobs[:2]))
        assert [seen[job.name].state for job in jobs] == [State.SUCCEEDED, State.FAILED, State.ABSENT]
        again = observer.observe(jobs, 0.0)
        assert again == seen, "what has ended stays as it is"
        for job in jobs[:2]:
            found = backend.find(job.name)
            assert found is not None
            assert found.status == seen[job.name], "an observer and `find` say the same"

    def test_an_observers_jobs_change_from_look_to_look(
        self, backend: Backend, root: str, observer: JobObserver, started: Any
    ) -> None:
        assert observer.observe((), 0.0) == {}
        first = started(ContractStep(_WAITS, run_id="first"))
        self.observe_until(observer, (first,), lambda seen: seen[first.name].running)
        second = ContractStep(run_id="second")
        later = JobHandle(backend.name, second.identity.job_name(1))
        seen = observer.observe((first, later), 0.0)
        assert [seen[job.name].state for job in (first, later)] == [State.ACTIVE, State.ABSENT]
        handle = started(second)
        self.observe_until(observer, (handle,), lambda seen: seen[handle.name].state is State.SUCCEEDED)
        backend.cancel(first)
        seen = self.observe_until(observer, (first, handle), lambda seen: seen[first.name].state.finished)
        assert seen[first.name].state is State.STOPPED
        backend.forget(handle)
        self.observe_until(observer, (first, handle), lambda seen: seen[handle.name].state is State.ABSENT)
