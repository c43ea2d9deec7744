"""A plan refuses what a backend cannot do, or leaves it out with a warning where the stack says so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.jobs.plan import PlanningOptions
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.fake import FakeCluster, FakeSettings
from airflow_provider_mlx.testing.steps import ContractStep

ROOT = "memory://root"


def planner(*, backend=None, options=None, on_unsupported="error", targets=1, **step):
    backend = backend or FakeCluster().backend_class(FakeSettings(), store=ObjectStore())
    made = ContractStep(**step).planner(backend, ROOT)
    resolved = replace(made.resolved, on_unsupported=on_unsupported, targets=made.resolved.targets * targets)
    return replace(made, resolved=resolved, options=options or made.options)


def test_every_refusal_is_told_at_once_with_its_way_out():
    with pytest.raises(InvalidStep) as refused:
        planner(resources=Resources(gpu=0.5, shm="1Gi")).plan(1)
    assert [str(problem) for problem in refused.value.problems] == [
        "fractional_gpu=0.5: the fake has whole GPUs only → ask for a whole number",
        "shm='1Gi': the fake has no memory to share → leave shm out",
    ]
    assert "dags/contract.py:11" in str(refused.value)


def test_a_stack_may_ask_for_warnings_and_what_is_refused_does_not_reach_the_backend():
    planned = planner(resources=Resources(gpu=0.5, shm="1Gi", cpu=2), on_unsupported="warn").plan(1)
    assert planned.request["resources"] == {"cpu": 2}
    assert [warning.partition(" has no effect")[0] for warning in planned.warnings] == [
        "fractional_gpu=0.5",
        "shm='1Gi'",
    ]


def test_a_container_command_cannot_be_left_out():
    backend = LocalBackend(LocalSettings(work_dir="/nowhere"), store=ObjectStore())
    with pytest.raises(InvalidStep, match="container runtime"):
        planner(backend=backend, command=("true",), image="i", on_unsupported="warn").plan(1)


def test_a_problem_of_several_targets_is_told_once():
    with pytest.raises(InvalidStep) as refused:
        planner(resources=Resources(shm="1Gi"), targets=3).check()
    assert len(refused.value.problems) == 1


def test_local_steps_need_leave_to_run():
    backend = LocalBackend(LocalSettings(work_dir="/nowhere"), store=ObjectStore())
    with pytest.raises(InvalidStep, match="allow_local"):
        planner(backend=backend, options=PlanningOptions(local_allowed=False)).plan(1)


def test_backends_that_others_see_need_a_deployment_id(monkeypatch):
    made = planner(options=PlanningOptions())
    made.plan(1)
    kind = made.find_backend("fake")
    monkeypatch.setattr(kind, "needs_deployment_id", True)
    with pytest.raises(InvalidStep, match="AIRFLOW__MLX__DEPLOYMENT_ID"):
        made.plan(1)


def test_secrets_that_the_target_does_not_map_are_named():
    made = planner(secrets={"TOKEN": {"env": "X"}})
    bare = replace(made, resolved=replace(made.resolved, targets=(replace(made.resolved.targets[0], secrets={}),)))
    with pytest.raises(InvalidStep, match="maps no secret `token`"):
        bare.plan(1)


def test_the_context_says_everything_that_a_job_needs():
    planned = planner(arguments={"a": 1}).plan(3)
    context = json.loads(planned.context)
    assert context["protocol"] == 1
    assert context["step"]["attempt"] == 3
    assert context["step"]["job"] == planned.spec.name
    assert context["outputs"]["uri"] == planned.spec.outputs_uri
    assert context["checkpoint_uri"] == planned.spec.outputs_uri.rpartition("/")[0] + "/checkpoints"
    assert context["arguments"] == {"args": [], "kwargs": {"a": 1}}
    assert context["nonce"] != json.loads(planner().plan(4).context)["nonce"], "each attempt has its own"
    assert (context["nodes"], context["launcher"]) == (1, "none")


def test_the_context_says_how_many_nodes_and_what_starts_the_step_on_each():
    made = planner(resources=Resources(nodes=4, launcher="torchrun"), secrets={"TOKEN": {"env": "X"}})
    planned = made.plan(1)
    context = json.loads(planned.context)
    assert (context["nodes"], context["launcher"]) == (4, "torchrun")
    assert context["secret_variables"] == ["TOKEN"]
    assert planned.spec.context.sha256 == hashlib.sha256(planned.context).hexdigest()


def test_nodes_that_the_backend_leaves_out_with_a_warning_are_not_told_to_the_job():
    backend = LocalBackend(LocalSettings(work_dir="/nowhere"), store=ObjectStore())
    planned = planner(backend=backend, resources=Resources(nodes=4, launcher="torchrun"), on_unsupported="warn").plan(1)
    context = json.loads(planned.context)
    assert (context["nodes"], context["launcher"]) == (1, "none")


@pytest.mark.parametrize(
    ("timeout", "max_runtime", "execution", "seconds"),
    [
        pytest.param("1h", None, None, 3600, id="the step's own"),
        pytest.param("1h", 1800, None, 1800, id="the target's is less"),
        pytest.param("1h", 1800, 60, 60, id="Airflow's is least"),
        pytest.param(None, None, None, None, id="none"),
    ],
)
def test_the_deadline_is_the_least_and_the_backends_own_limit_lies_ten_minutes_later(
    timeout, max_runtime, execution, seconds
):
    from datetime import timedelta

    made = planner(
        resources=Resources(timeout=timeout),
        options=PlanningOptions(execution_timeout=timedelta(seconds=execution) if execution else None),
    )
    target = replace(made.resolved.targets[0], max_runtime=timedelta(seconds=max_runtime) if max_runtime else None)
    planned = replace(made, resolved=replace(made.resolved, targets=(target,))).plan(1)
    assert planned.limit == (None if seconds is None else timedelta(seconds=seconds))
    assert planned.spec.native_limit_seconds == (None if seconds is None else seconds + 600)
