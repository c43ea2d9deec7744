"""What doctor thinks of what it saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.cli import doctor_checks as checks
from airflow_provider_mlx.cli.doctor import probe
from airflow_provider_mlx.cli.doctor_checks import Status
from airflow_provider_mlx.cli.places import Place
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks import Artifacts, Stack, Stacks, Target


def stack(*targets: Target, conn_id: str | None = None) -> Stack:
    return Stack("prod", "f:1:1", Artifacts("s3://b/r", conn_id), {item.name: (item,) for item in targets})


def test_every_line_that_is_not_well_says_how_to_mend_it():
    gpu = Target("gpu", "kubernetes", "f:2:1", conn_id="k8s", refusal=Problem("not installed", "pip install …"))
    found = [
        *checks.versions({"apache-airflow": "2.11.0"}, python=(3, 11, 1)),
        *checks.conflicts({"kfp": "2", "aiobotocore": "2", "mlx": "0.20"}),
        *checks.stack_files(Stacks({"prod": stack(gpu)}, notes=("a note",)), [stack(gpu)]),
        checks.deployment_id("", ["kubernetes"]),
        checks.allow_local("true", True),
        checks.connection("k8s", ["prod.gpu"], False),
        checks.connection("k8s", ["prod.gpu"], None),
        checks.store("store", created=True, refused=False, listed=True, same=True),
        checks.triggerer(["kubernetes"], False),
        checks.triggerer(["kubernetes"], None),
        *checks.pools({"gpus": "the policy"}, {}, {"gpus": False}),
        checks.disk(Path("/x"), 1000),
    ]
    unwell = [check for check in found if check.status is not Status.OK]
    assert len(unwell) == 14
    assert all(check.mend for check in unwell)
    assert {check.status for check in found} == set(Status)


@pytest.mark.parametrize(
    ("promise", "said"),
    [("created", "did not create"), ("refused", "created twice"), ("listed", "not in its listing"), ("same", "bytes")],
)
def test_a_store_that_breaks_a_promise_fails(promise, said):
    kept = dict.fromkeys(("created", "refused", "listed", "same"), True)
    assert checks.store("s", **kept).status is Status.OK
    broken = checks.store("s", **(kept | {promise: False}))
    assert broken.status is Status.FAIL
    assert said in broken.what


def test_a_real_folder_is_probed_and_left_clean(tmp_path):
    found = probe(Place(Artifacts(tmp_path.as_uri()), "dev", ""))
    assert found.status is Status.OK, found
    assert list(ObjectStore().list(tmp_path.as_uri())) == []


def test_who_uses_which_connection():
    gpu = Target("gpu", "kubernetes", "f:2:1", conn_id="k8s")
    assert checks.connections_of([stack(gpu, conn_id="lake")]) == {"lake": ["artifacts of prod"], "k8s": ["prod.gpu"]}
    assert checks.backends_of([stack(gpu)]) == ["kubernetes"]


@pytest.mark.parametrize(
    ("known", "status"),
    [(None, Status.UNKNOWN), ({}, Status.FAIL), ({"p": False}, Status.WARN), ({"p": True}, Status.OK)],
)
def test_a_pool_that_a_step_uses(known, status):
    (check,) = checks.pools({}, {"p": "the step `x`"}, known)
    assert check.status is status


def test_without_remote_backends_little_is_needed():
    assert checks.deployment_id("", []).status is Status.OK
    assert checks.triggerer([], None).status is Status.OK
