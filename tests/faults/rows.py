"""The fault table. A row says what happens to which step, and what is right afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from . import aws, faults, kubeflow, obstacles, orphaned, printed, teams, triggerers, twins
from .faults import Fault, Shared
from .judge import GONE, Expect
from .points import HELD_AT, Point
from .subjects import KUBEFLOW, KUBERNETES, LOCAL, REMOTE, SAGEMAKER, Subject
from .worlds import FORGETFUL, ORDINARY, TEAMS, World

RETRY: Final[Mapping[str, Any]] = {"retries": 1}


@dataclass(frozen=True)
class Row:
    """
    One fault.

    :param fault: what goes wrong for one case alone: such cases run beside each other.
    :param shared: what goes wrong for all cases at once: rows with the same one run together, and nothing beside them.
    :param before: what is there before the run is triggered.
    :param at: where the step is when it happens.
    :param task: arguments of the operator; ``seconds`` holds those that are durations.
    :param arguments: of the step's function.
    :param quick: it takes seconds: ``make test`` runs it.
    :param mode: ``sync``, ``deferred``, or empty for both.
    :param where: which systems' jobs it is about.
    :param bounded: the stack's target has a short ``max_runtime``.
    :param small_disk: the stack's artifact root is a small file system of its own.
    :param late: its run is started by the shared fault.
    :param world: which Airflow it needs.
    :param run_seconds: the DAG run's own timeout.
    :param linger: seconds from the point to the fault.
    :param long: it takes minutes, and is begun first.
    """

    name: str
    fault: Fault = faults.let_time_pass
    expect: Expect = field(default_factory=Expect)
    shared: Shared | None = None
    before: Fault | None = None
    at: Point = Point.RUNNING
    task: Mapping[str, Any] = field(default_factory=lambda: RETRY)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    mode: str = ""
    where: Sequence[str] = (LOCAL, REMOTE, KUBERNETES, SAGEMAKER, KUBEFLOW)
    bounded: bool = False
    small_disk: bool = False
    late: bool = False
    world: World = ORDINARY
    run_seconds: float | None = None
    linger: float = 0.0
    long: bool = False

    def is_for(self, subject: Subject) -> bool:
        """Whether this subject can be put to it."""
        if subject.where not in self.where or self.mode not in ("", subject.mode):
            return False
        return not (self.at is Point.FINISHED and subject.deferred)  # no process of a worker looks at the job then


def at_points(points: Sequence[Point], name: str, **same: Any) -> tuple[Row, ...]:
    """The same row at several points."""
    return tuple(Row(f"{name} {point.value}", at=point, **same) for point in points)


ALL: Final = tuple(Point)
WITH_PROCESS: Final = (*HELD_AT, Point.FINISHED)
"""Points at which a worker's process is there also for a step that defers."""
ADOPTED: Final = Expect(tries=2)
NEW_CODE: Final = Expect(jobs=2, marker="second", stopped=True)
NO_RETRY: Final[Mapping[str, Any]] = {"retries": 0}


LOST_WORKERS: Final = (
    *at_points(WITH_PROCESS, "task killed", fault=faults.kill_task, expect=ADOPTED, quick=True),
    *at_points(WITH_PROCESS, "supervisor killed", fault=faults.kill_supervisor, expect=ADOPTED),
    *at_points(WITH_PROCESS, "worker killed", fault=faults.kill_worker, expect=ADOPTED),
    *at_points(WITH_PROCESS, "worker frozen", fault=faults.freeze_worker, expect=ADOPTED),
    *at_points(WITH_PROCESS, "task without supervisor frozen", fault=faults.freeze_task, expect=ADOPTED),
    *(
        Row(f"{what} while the job runs", fault, ADOPTED, mode="sync", quick=quick)
        for what, fault, quick in (
            ("task killed", faults.kill_task, True),
            ("supervisor killed", faults.kill_supervisor, False),
            ("worker killed", faults.kill_worker, False),
            ("worker frozen", faults.freeze_worker, False),
            ("task without supervisor frozen", faults.freeze_task, False),
        )
    ),
    *at_points(
        (Point.RUNNING, Point.BEFORE_SUBMIT, Point.BEFORE_HANDLE), "code changed, task killed", mode="sync", quick=True,
        fault=faults.other_code_then_kill, expect=ADOPTED,
    ),
    *at_points(
        (Point.RUNNING, Point.BEFORE_SUBMIT, Point.BEFORE_HANDLE), "other arguments, task killed", mode="sync",
        quick=True, fault=faults.kill_task, expect=ADOPTED, arguments={"salt": "try {{ ti.try_number }}"},
    ),
)  # fmt: skip

DRAINS: Final = (
    *at_points(
        (Point.BEFORE_SUBMIT, Point.BEFORE_HANDLE, Point.BEFORE_CLAIM, Point.AFTER_CLAIM), "worker drained",
        fault=faults.drain, expect=ADOPTED, quick=True,
    ),
    Row("worker drained while the job runs", faults.drain, ADOPTED, mode="sync", quick=True),
    Row(
        "worker drained on the last try", faults.drain_on_the_last_try, Expect(state="failed", stopped=True),
        task=NO_RETRY, mode="sync", quick=True,
    ),
    Row(
        "task terminated on the last try", faults.terminate_task_on_the_last_try, Expect(state="failed", stopped=True),
        task=NO_RETRY, mode="sync", quick=True,
    ),
)  # fmt: skip

WISHES: Final = (
    *at_points(
        (Point.RUNNING, Point.AFTER_HANDLE), "marked failed", fault=faults.mark_failed, task=NO_RETRY, quick=True,
        expect=Expect(state="failed", stopped=True),
    ),
    *at_points(
        (Point.RUNNING, Point.AFTER_HANDLE), "marked failed with a retry left", fault=faults.mark_failed, quick=True,
        expect=Expect(state="failed", stopped=True),
    ),
    *at_points(
        (Point.RUNNING, Point.AFTER_HANDLE), "marked success", fault=faults.mark_success, task=NO_RETRY, quick=True,
        expect=Expect(by_hand=True, stopped=True),
    ),
    *at_points((Point.RUNNING, Point.AFTER_HANDLE), "cleared", fault=faults.clear, quick=True, expect=NEW_CODE),
    *at_points(
        (Point.BEFORE_CLAIM, Point.AFTER_CLAIM), "marked failed", fault=faults.mark_failed, task=NO_RETRY, quick=True,
        expect=Expect(state="failed", at_most_results=1),
    ),
    *at_points(
        (Point.BEFORE_CLAIM, Point.AFTER_CLAIM), "cleared", fault=faults.clear, quick=True,
        expect=Expect(jobs=2, marker="second", at_most_results=2),
    ),
    *at_points(
        (Point.BEFORE_NUMBER, Point.BEFORE_RECORD, Point.BEFORE_SUBMIT, Point.BEFORE_HANDLE), "marked failed",
        fault=faults.mark_failed, task=NO_RETRY, expect=Expect(state="failed", jobs=0, at_most=1, stopped=None),
    ),
    Row(
        "cleared after success", faults.clear_after_success, Expect(jobs=2, results=2, marker="second"), task=NO_RETRY,
        quick=True,
    ),
)  # fmt: skip

LIMITS: Final = (
    Row(
        "execution_timeout", faults.let_time_pass, Expect(state="failed", stopped=True, seconds=40), quick=True,
        task={"seconds": {"execution_timeout": 15}},
    ),
    Row(
        "max_runtime of the target", faults.let_time_pass, Expect(state="failed", stopped=True, seconds=40), quick=True,
        task=NO_RETRY, bounded=True,
    ),
    Row(
        "dagrun_timeout", faults.let_time_pass, Expect(state="skipped", stopped=True, seconds=40), quick=True,
        task=NO_RETRY, run_seconds=15,
    ),
    Row("the user's code fails once", faults.let_it_end, Expect(jobs=2, tries=2), arguments={"fails": 1}, quick=True),
    Row(
        "the user's code fails on the last try", faults.let_it_end, Expect(state="failed"), arguments={"fails": 1},
        task=NO_RETRY, quick=True,
    ),
)  # fmt: skip

OUTAGES: Final = (
    *at_points(
        ALL, "artifact store unreachable", fault=faults.store_unreachable, expect=Expect(tries=1), mode="sync",
        task=NO_RETRY,
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.AFTER_HANDLE, Point.RUNNING, Point.BEFORE_CLAIM), "backend unreachable",
        shared=faults.backend_unreachable, expect=Expect(tries=1), where=(REMOTE, KUBERNETES, SAGEMAKER, KUBEFLOW), task=NO_RETRY,
    ),
    Row(
        "the answers to the jobs' creation are lost", shared=faults.answers_lost, expect=Expect(tries=1),
        where=(REMOTE, SAGEMAKER), at=Point.BEFORE_SUBMIT, task=NO_RETRY,  # no TLS begins without answers
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.RUNNING, Point.BEFORE_CLAIM), "backend silent for a minute",
        shared=faults.backend_silent, expect=Expect(tries=1), where=(REMOTE, KUBERNETES, SAGEMAKER, KUBEFLOW), task=NO_RETRY,
    ),
    Row(
        "backend unreachable for 20 s while the job runs", shared=faults.backend_shortly_unreachable,
        expect=Expect(tries=1), where=(REMOTE, KUBERNETES, SAGEMAKER, KUBEFLOW), task=NO_RETRY,
    ),
    Row(
        "Airflow's API unreachable for 20 s while the job runs", shared=faults.airflow_api_shortly_unreachable,
        expect=Expect(tries=6), task={"retries": 5},
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.AFTER_HANDLE, Point.RUNNING, Point.BEFORE_CLAIM), "Airflow's API unreachable",
        shared=faults.airflow_api_unreachable, expect=Expect(tries=6), task={"retries": 5},
    ),
    *at_points(ALL, "all of Airflow killed", shared=faults.airflow_down, expect=ADOPTED),
    *at_points(
        (Point.RUNNING, Point.BEFORE_HANDLE), "scheduler and workers killed", shared=faults.scheduler_lost,
        expect=ADOPTED, mode="sync",
    ),
)  # fmt: skip

OBSTACLES: Final = (
    Row(
        "the job's name is somebody else's", obstacles.name_still_theirs, Expect(state="failed", jobs=0, said="another request"),
        before=obstacles.take_name, task=NO_RETRY, quick=True,
    ),
    Row(
        "disk full while the result is written", obstacles.fill_disk, Expect(jobs=1, at_most=2, tries=2),
        before=obstacles.mount_small_disk, small_disk=True, where=(LOCAL, REMOTE),  # a node does not see new mounts
    ),
)  # fmt: skip

DEFERRALS: Final = (
    Row(
        "marked failed while long deferred", faults.mark_failed, Expect(state="failed", stopped=True), mode="deferred",
        linger=12,
    ),
    Row(
        "marked success while long deferred", faults.mark_success, Expect(by_hand=True, stopped=True), mode="deferred",
        linger=12,
    ),
    *(
        Row(f"marked {state} 3 s after the deferral", fault, expect, mode="deferred", linger=3)
        for state, fault, expect in (
            ("failed", faults.mark_failed, Expect(state="failed", stopped=True)),
            ("success", faults.mark_success, Expect(by_hand=True, stopped=True)),
        )
    ),
    Row("cleared while long deferred", faults.clear, NEW_CODE, mode="deferred", linger=12),
    Row("ends within seconds of the deferral", faults.let_it_end, Expect(tries=1), mode="deferred", task=NO_RETRY),
    Row(
        "twenty no-ops in a row", triggerers.one_after_another, Expect(tries=1), mode="deferred", task=NO_RETRY,
        arguments={"longest": 0},
    ),
    Row(
        "twenty steps of eight seconds in a row", triggerers.one_after_another, Expect(tries=1), mode="deferred",
        task=NO_RETRY, arguments={"longest": 8}, long=True,
    ),
    *(
        Row(f"triggerer {what}", shared=shared, expect=Expect(tries=1), mode="deferred", task=NO_RETRY)
        for what, shared in (
            ("killed", triggerers.killed),
            ("shut down", triggerers.shut_down),
            ("down while the job ends", triggerers.down_while_the_job_ends),
            ("frozen beside another", triggerers.frozen_beside_another),
            ("meets another version's row", triggerers.upgraded),
        )
    ),
    Row(
        "triggerer lost twice while the job prints 10000 lines", shared=printed.triggerer_lost_twice,
        expect=Expect(tries=1), mode="deferred", task=NO_RETRY, arguments={"lines": printed.LINES},
        # Kubeflow's server sends the whole log each time: who waits in the triggerer shows it at the end
        where=(LOCAL, REMOTE, KUBERNETES, SAGEMAKER),
    ),
)  # fmt: skip

PRINTING: Final = (
    Row(
        "task killed while the job prints 10000 lines", printed.task_lost, ADOPTED, mode="sync",
        arguments={"lines": printed.LINES},
    ),
)  # fmt: skip

TWINS: Final = (
    Row(
        "a second Airflow of another deployment", shared=twins.of_another_deployment,
        expect=Expect(jobs=2, at_once=2, results=2, tries=1), task=NO_RETRY,
    ),
    Row(
        "a second Airflow of the same deployment", shared=twins.of_the_same_deployment, task=NO_RETRY,
        expect=Expect(state="failed", jobs=2, results=1, stopped=True),
    ),
)  # fmt: skip

REAPED: Final = (
    Row(
        "database restored from yesterday, then reap: a run that it knows", shared=orphaned.restored, world=FORGETFUL,
        expect=ADOPTED,
    ),
    Row(
        "database restored from yesterday, then reap: a run that it lost", shared=orphaned.restored, world=FORGETFUL,
        expect=Expect(state=GONE, stopped=True), late=True,
    ),
    *(
        row
        for what, shared in (
            ("DAG deleted while its step waits", orphaned.deleted),
            ("DAG deleted while no triggerer lives", orphaned.deleted_without_triggerer),
        )
        for row in (
            Row(f"{what}, then reap: another DAG", shared=shared, expect=Expect(tries=1), mode="deferred", world=FORGETFUL),
            Row(
                f"{what}, then reap: this DAG", shared=shared, expect=Expect(state=GONE, stopped=True), mode="deferred",
                late=True, world=FORGETFUL,
            ),
        )
    ),
)  # fmt: skip
"""Each is two rows that happen together: a job that nobody waits for any more is stopped, one beside it is not."""

MULTI_TEAM: Final = (
    Row(
        "the triggerer may not read the team's connection", teams.a_worker_watches, Expect(tries=1, said=teams.SAID),
        mode="deferred", task=NO_RETRY, world=TEAMS,
    ),
    Row(
        "marked failed where the triggerer may not read the team's connection", teams.marked_failed,
        Expect(state="failed", stopped=True), mode="deferred", task=NO_RETRY, world=TEAMS,
    ),
)  # fmt: skip

OF_AWS: Final = (
    *at_points(
        (Point.BEFORE_SUBMIT, Point.AFTER_HANDLE, Point.RUNNING, Point.BEFORE_CLAIM), "AWS throttles every call",
        shared=aws.throttled, expect=Expect(tries=1), where=(SAGEMAKER,), task=NO_RETRY,
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.RUNNING), "AWS takes no credentials for 20 s", shared=aws.expired,
        expect=Expect(tries=1), where=(SAGEMAKER,), task=NO_RETRY,
    ),
    Row(
        "marked failed while the job ends", aws.stopped_at_its_end,
        Expect(state="failed", stopped=None, at_most_results=1), where=(SAGEMAKER, KUBEFLOW), task=NO_RETRY, quick=True,
    ),
)  # fmt: skip

OF_KUBEFLOW: Final = (
    Row(
        "the answers to the requests for runs are lost", shared=kubeflow.creations_lost, expect=Expect(tries=1),
        where=(KUBEFLOW,), at=Point.BEFORE_SUBMIT, task=NO_RETRY,
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.RUNNING, Point.BEFORE_CLAIM), "Kubeflow's API server restarted",
        shared=kubeflow.restarted, expect=Expect(tries=1), where=(KUBEFLOW,), task=NO_RETRY,
    ),
    *at_points(
        (Point.BEFORE_SUBMIT, Point.RUNNING, Point.BEFORE_CLAIM), "the gateway answers 503 for a minute",
        shared=kubeflow.unavailable, expect=Expect(tries=1), where=(KUBEFLOW,), task=NO_RETRY,
    ),
    Row("the run is archived while it goes on", kubeflow.archived, Expect(tries=1), where=(KUBEFLOW,), task=NO_RETRY),
    Row("the run is deleted while it goes on", kubeflow.deleted, Expect(jobs=2, tries=2), where=(KUBEFLOW,)),
    Row(
        "the run is terminated on its page", kubeflow.terminated, Expect(state="failed", stopped=True),
        where=(KUBEFLOW,), task=NO_RETRY,
    ),
    Row(
        "the run fails and is run again from its page", kubeflow.run_again_from_its_page, Expect(jobs=2, tries=2),
        where=(KUBEFLOW,), task={"retries": 1, "seconds": {"retry_delay": 25}}, arguments={"fails_once": True},
    ),
)  # fmt: skip

ROWS: Final = (
    *LOST_WORKERS, *DRAINS, *WISHES, *LIMITS, *OUTAGES, *OBSTACLES, *DEFERRALS, *PRINTING, *TWINS, *REAPED, *MULTI_TEAM,
    *OF_AWS, *OF_KUBEFLOW,
)  # fmt: skip
