"""References in a step's arguments: believed only if the producer's own ledger says the same."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.runtime.protocol import Arguments
from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset

ROOT = "memory://root/here"
ATTEMPT = f"{ROOT}/runs/prod/churn/run/train/-1/attempt-1"
GOOD, FORGED = "a" * 64, "b" * 64


def reference(uri=f"{ATTEMPT}/outputs/model/file", sha256=GOOD):
    return ArtifactReference(uri, sha256, 1, "json", "dict", "return_value", "1", {"dag_id": "churn"})


@pytest.fixture
def store():
    store = ObjectStore()
    result = {"outputs": {"return_value": {"artifact": reference().to_wire()}, "none": {"artifact": None}}}
    store.create(f"{ATTEMPT}/result.json", json.dumps(result).encode())
    return store


def check(store, *values, allowed=()):
    arguments = Arguments(args=[value.to_wire() for value in values], kwargs={})
    return check_inputs(arguments, store=store, gate=Gate((ROOT, *allowed)), root=ROOT)


def test_what_the_ledger_knows_is_believed(store):
    assert check(store, reference(), reference()) == (reference(),)
    assert check(store) == ()


def test_references_are_found_at_any_depth(store):
    arguments = Arguments(args=[], kwargs={"deep": [{"er": [reference(sha256=FORGED).to_wire()]}]})
    with pytest.raises(InvalidStep):
        check_inputs(arguments, store=store, gate=Gate((ROOT,)), root=ROOT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(reference(sha256=FORGED), "the producer's ledger says another digest", id="a forged digest"),
        pytest.param(reference(uri=f"{ATTEMPT}/outputs/other"), "another digest", id="an object it did not write"),
        pytest.param(reference(uri="memory://root/elsewhere/outputs/x"), "lies neither under", id="another root"),
        pytest.param(reference(uri="s3://bucket/outputs/x"), "lies neither under", id="another bucket"),
        pytest.param(reference(uri=f"{ROOT}/bundles/x.zip"), "is not an output of a step", id="a bundle"),
        pytest.param(reference(uri=f"{ATTEMPT}/context.json"), "is not an output of a step", id="a context"),
        pytest.param(
            reference(uri=f"{ROOT}/runs-evil/prod/churn/run/train/-1/attempt-1/outputs/x"),
            "is not an output of a step", id="a folder that only begins like the ledger's",
        ),
        pytest.param(
            reference(uri=f"{ROOT}/runs/prod/churn/run/train/-1/attempt-9/outputs/x"),
            "has no result", id="an attempt without a result",
        ),
    ],
)  # fmt: skip
def test_what_the_ledger_does_not_know_is_refused(store, wrong, message):
    with pytest.raises(InvalidStep, match=message):
        check(store, wrong)


def test_a_result_file_among_a_steps_own_outputs_is_no_ledger(store):
    fake = reference(uri=f"{ATTEMPT}/outputs/mine/outputs/x", sha256=FORGED)
    body = {"outputs": {"x": {"artifact": fake.to_wire()}}}
    store.create(f"{ATTEMPT}/outputs/mine/result.json", json.dumps(body).encode())
    with pytest.raises(InvalidStep, match="another digest"):
        check(store, fake)


@pytest.mark.parametrize("forged_first", [True, False])
def test_a_forged_reference_beside_the_real_one_is_seen(store, forged_first):
    both = [reference(sha256=FORGED), reference()]
    with pytest.raises(InvalidStep, match="another digest"):
        check(store, *(both if forged_first else reversed(both)))


def test_all_problems_are_told_at_once(store):
    with pytest.raises(InvalidStep) as refused:
        check(store, reference(sha256=FORGED), reference(uri="s3://b/outputs/x"), Dataset("s3://secret/data"))
    assert len(refused.value.problems) == 3


def test_datasets_pass_where_the_stack_allows_them(store):
    assert check(store, Dataset("s3://lake/x.parquet"), allowed=("s3://lake/",)) == ()
    with pytest.raises(InvalidStep, match="dataset"):
        check(store, Dataset("file:///etc/passwd"), allowed=("s3://lake/",))


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"outputs": []}', b'{"outputs": {"x": 5}}'])
def test_a_ledger_that_cannot_be_read_is_refused(data):
    store = ObjectStore()
    store.create(f"{ATTEMPT}/result.json", data)
    with pytest.raises(InvalidStep):
        check(store, reference())
