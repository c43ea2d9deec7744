"""
Hostile steps on SageMaker, as real jobs under the policies that ``init sagemaker`` writes.

Each action is tried by the code of a job, with a client of AWS in its image and the job's own credentials. It is tried
under the policies that go by the shape of names, under the one that binds a job to its attempt, and, as the control, by
the same job under a role that may do everything, where every action succeeds. The endpoint of the tests judges as IAM is
documented to (``tests/aws/policy.py``).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk.bases.hook import BaseHook

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.logs import GROUPS
from airflow_provider_mlx.backends.sagemaker.settings import Kind, SageMakerSettings
from airflow_provider_mlx.testing.steps import ContractStep
from tests.aws.endpoint import Endpoint
from tests.aws.job_requests import training_request
from tests.sagemaker_rights import AIRFLOW, JOB, SUBMIT, rights

from .hostile_actions import BUCKET, DENIED, HOSTILE, YES, Action, Place, actions, in_processing

CONN_ID = "mlx_isolation_tests"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ml:boto3"

_numbers = itertools.count()

# --- where it is tried -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint() as endpoint:
        admin = endpoint.client
        admin("s3").create_bucket(Bucket="private", CreateBucketConfiguration={"LocationConstraint": endpoint.region})
        admin("s3").put_object(Bucket="private", Key="x", Body=b"x")
        for name in ("hf", "hf-2", "db-password"):
            admin("secretsmanager").create_secret(Name=name, SecretString="s3cr3t")
        admin("ssm").put_parameter(Name="/ml/other", Value="x", Type="SecureString")
        for group in GROUPS.values():
            admin("logs").create_log_group(logGroupName=group)
        yield endpoint
        for name in ("hf", "hf-2", "db-password"):
            admin("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        admin("ssm").delete_parameter(Name="/ml/other")
    assert endpoint.problems == []


class World:
    """An artifact root with other people's work in it, and an Airflow that submits the hostile step."""

    def __init__(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        self.endpoint, self._monkeypatch = endpoint, monkeypatch
        number = next(_numbers)
        self.place = Place(f"world-{number}/mlx", f"run-{number}")
        self.root = f"s3://{BUCKET}/{self.place.base}"
        self._s3 = endpoint.client("s3")
        for key in self.place.objects():
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=f"of {key}".encode())

    def rights(self, **facts: Any) -> None:
        """As ``init sagemaker`` writes them for a target."""
        allowed, secrets = (f"s3://{BUCKET}/lake",), ("secretsmanager:hf",)
        rights(self.root, allowed=allowed, secrets=secrets, **facts).put(self.endpoint)

    def no_limits(self) -> None:
        """The control: the job's role may do everything, and be everybody."""
        trust = {
            "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Principal": {"Service": "sagemaker.amazonaws.com", "AWS": self.endpoint.account},
        }  # fmt: skip
        all_of_it = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        one = {"policy": {"Statement": [all_of_it]}, "trust": {"Statement": [trust]}}
        self.endpoint.put_roles({JOB: one, SUBMIT: one, AIRFLOW: one})

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket that is not of other worlds."""
        found: dict[str, bytes] = {}
        for prefix in (f"{self.place.base}/", "private/", "lake/", "elsewhere/"):
            for one in self._s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ()):
                found[one["Key"]] = self._s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        return found

    def submit(self, source: str, arguments: Mapping[str, Any], **settings: Any) -> str:
        """Run a step as attempt 2 to its end, and collect it as Airflow does; SageMaker's name of the job."""
        connection = self.endpoint.connection(role_arn=AIRFLOW)
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
        store = open_store(self.root, CONN_ID)
        given = SageMakerSettings(role_arn=JOB, **settings)
        backend = SageMakerBackend(given, CONN_ID, store, read_connection=BaseHook.get_connection)
        step = ContractStep(source, self.place.run_id, arguments=arguments, image=IMAGE)
        try:
            handle = step.submit(backend, self.root, attempt=2)
            name = handle.id.rpartition("/")[2]
            self.endpoint.wait(name, seconds=120)
            backend.collect(handle, {})
            return name
        finally:
            backend.client.close()

    def said(self, name: str) -> dict[str, str]:
        """What became of the actions of a hostile step."""
        group = self.endpoint.job(name).log_group
        streams = self.endpoint.logs.streams(group, f"{name}/")
        lines = [event.message for one in streams for event in self.endpoint.logs.events(group, one.name)]
        told = [line.partition(" ")[2] for line in lines if line.startswith("outcomes ")]
        assert told, lines
        found: dict[str, str] = json.loads(told[0])
        return found

    def tries(self, kind: Kind = "training") -> list[Action]:
        """All that is tried here."""
        job = training_request(self.endpoint, f"mlx-forged-{next(_numbers)}", "pass")
        return actions(self.place, {**job, "RoleArn": JOB}, GROUPS[kind])


@pytest.fixture
def world(endpoint, monkeypatch):
    return World(endpoint, monkeypatch)


def of_requests(tries: list[Action]) -> dict[str, Any]:
    """The argument of the hostile step."""
    return {"tries": [[one.name, one.service, one.operation, dict(one.params)] for one in tries]}


def verdicts(outcomes: Mapping[str, str]) -> dict[str, str]:
    """AWS's two words for a refusal as one."""
    return {name: DENIED if said.startswith("AccessDenied") else said for name, said in outcomes.items()}


# --- what becomes of it ------------------------------------------------------------------------------------------------


def test_without_limits_every_action_succeeds(world):
    """The control: what is refused below is refused by the policies, and by nothing else."""
    world.no_limits()
    tries = world.tries()
    assert world.said(world.submit(HOSTILE, of_requests(tries))) == {one.name: YES for one in tries}


def test_by_pattern_a_hostile_step_replaces_no_result(world):
    world.rights()
    before, tries = world.objects(), world.tries()
    found = verdicts(world.said(world.submit(HOSTILE, of_requests(tries))))
    assert found == {one.name: one.by_pattern for one in tries}
    after, place = world.objects(), world.place
    changed = {key for key, data in before.items() if after.get(key) != data}
    assert changed == {
        f"{place.before}/sagemaker/job/output/data/mlx/result.json", f"{place.other_checkpoints}/sagemaker/step-9.pt",
        f"{place.other_checkpoints}/since-1/objects/1",
    }  # fmt: skip


def test_a_hostile_processing_job_can_overwrite_results_and_nothing_of_airflows(world):
    """Of processing jobs no policy can refuse it; what Airflow decides by, and the code, they cannot touch either."""
    world.rights(kinds=("processing",))
    before, tries = world.objects(), world.tries("processing")
    found = verdicts(world.said(world.submit(HOSTILE, of_requests(tries), kind="processing")))
    assert found == {one.name: in_processing(one) for one in tries}
    after, place = world.objects(), world.place
    changed = {key for key, data in before.items() if after.get(key) != data}
    assert changed == {
        f"{place.before}/result.json", f"{place.before}/sagemaker/job/output/data/mlx/result.json",
        f"{place.other_task}/outputs/model.bin",
        f"{place.other_checkpoints}/sagemaker/step-9.pt", f"{place.other_checkpoints}/since-1/objects/1",
    }  # fmt: skip


def test_bound_to_its_attempt_a_hostile_step_writes_nowhere_else(world):
    world.rights(submit_role_arn=SUBMIT)
    before, tries = world.objects(), world.tries()
    found = verdicts(world.said(world.submit(HOSTILE, of_requests(tries), submit_role_arn=SUBMIT)))
    assert found == {one.name: one.bound for one in tries}
    after, own = world.objects(), f"{world.place.own}/"
    code = f"{world.place.base}/bundles/"
    assert {key: data for key, data in after.items() if not key.startswith((own, code))} == {
        key: data for key, data in before.items() if not key.startswith(code)
    }


# --- a job without a network -------------------------------------------------------------------------------------------

ALONE = ("create its own result", "read the target's secret", "assume Airflow's role", "list the training jobs")
"""One action of each service is enough where the network is what is missing."""


@pytest.mark.parametrize(
    ("isolated", "stolen", "outcome"),
    [
        pytest.param(True, False, "NoCredentialsError", id="it has no credentials"),
        pytest.param(True, True, "EndpointConnectionError", id="and with an administrator's it reaches nobody"),
        pytest.param(False, True, YES, id="the control: with a network they are good"),
    ],
)
def test_an_isolated_job_asks_nobody_anything(world, isolated, stolen, outcome):
    world.rights(submit_role_arn="" if isolated else SUBMIT)
    tries = [one for one in world.tries() if one.name in ALONE]
    if not isolated:
        world.no_limits()
    keys = world.endpoint.connection()
    given = {
        "endpoint_url": world.endpoint.url, "aws_access_key_id": keys["login"],
        "aws_secret_access_key": keys["password"],
    }  # fmt: skip
    arguments = {**of_requests(tries), **(given if stolen else {})}
    name = world.submit(HOSTILE, arguments, network_isolation=isolated)
    assert world.said(name) == dict.fromkeys(ALONE, outcome)


# --- SageMaker and Airflow as its hands --------------------------------------------------------------------------------

LEAVES = """
    import os

    def run(names):
        for name in names:
            path = os.path.join("/opt/ml/output/data/mlx", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write("forged")
        os.symlink("/etc/passwd", "/opt/ml/output/data/mlx/outputs/link")
        return 1
"""
RECORDS = ("claim-1", "handle.json", "job.json", "running.json", "stop_requested", "log.txt", "lineage-end")


def test_what_sagemaker_takes_from_a_job_airflow_brings_only_where_a_job_may_write(world):
    """A job without a network writes by SageMaker's hand and by Airflow's, and Airflow's may do more than the job."""
    world.rights(submit_role_arn=SUBMIT)
    names = [*RECORDS, "context.json", "elsewhere/x", "sagemaker/x", "outputs/mine.bin", "errors/1.json"]
    before = world.objects()
    world.submit(LEAVES, {"names": names}, network_isolation=True, submit_role_arn=SUBMIT)
    own, after = f"{world.place.own}/", world.objects()
    brought = {key.removeprefix(own) for key in after.keys() - before.keys() if key.startswith(own)}
    here = {name for name in brought if not name.startswith("sagemaker/")}
    assert here == {"context.json", "result.json", "outputs/return_value.json", "outputs/mine.bin", "errors/1.json"}
    assert b"forged" not in after[f"{own}context.json"]
    assert {key: data for key, data in after.items() if key in before} == before


def test_a_root_that_is_named_as_what_sagemaker_takes_gets_its_results(world):
    """The control of the test before, where it is easily lost: what a job may write is brought, whatever the root is."""
    base = "data/mlx"
    world.place, world.root = Place(base, world.place.run_id), f"s3://{BUCKET}/{base}"
    world.rights()
    world.submit("def run():\n    return 1\n", {}, transfer="channels")
    assert f"{world.place.own}/result.json" in world.objects()
