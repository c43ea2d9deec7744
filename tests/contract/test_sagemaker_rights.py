"""
The contract suite with the rights that ``init sagemaker`` writes, and no others.

Airflow's connection is a role with Airflow's policy; jobs run under the job's policy; where it binds a job to its
attempt, they are created in the name of ``submit_role_arn``. Root, role and secret are those of the test, so the
policies are written anew for each. And nobody is refused anything: what a policy lacks fails a test also where the code
goes on without it.

Each form of the job's policy is here with each way in which results travel. What asks AWS for nothing (a plan in another
process, the declared differences) or for the same again (two submitters, further looks) is left to ``test_sagemaker.py``.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, ClassVar

import pytest

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.sagemaker.names import sagemaker_name
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.exceptions import MlxError
from airflow_provider_mlx.runtime import client_boto3
from airflow_provider_mlx.testing.steps import ContractStep
from tests.sagemaker_rights import AIRFLOW, SUBMIT, rights

from .test_sagemaker import CONN_ID, Connected, ConnectedWithClient, OnSageMaker, endpoint  # noqa: F401  (a fixture)

_GOES_ON = """
    def run(failing):
        from airflow_provider_mlx.runtime import current_step

        folder = current_step.checkpoint_dir()
        found = sorted(file.name for file in folder.iterdir())
        for name in ("a", "b", "c", "d"):  # two snapshots are kept, and older ones removed
            if name not in found:
                (folder / name).write_text(name)
                current_step.sync_checkpoints()
        if failing:
            raise ValueError("once more")
        print(f"found {' '.join(found)}")
        return bytes(12 << 20)
"""


class OnNarrowSageMaker(OnSageMaker):
    """The same suite with rights."""

    bound: ClassVar[bool] = False
    test_a_plan_is_the_same_in_every_process_and_needs_no_connection = None
    test_what_the_backend_cannot_do_is_declared = None
    test_what_the_backend_cannot_do_is_refused = None
    test_two_submitters_at_once_make_one_job = None
    test_an_observers_jobs_change_from_look_to_look = None

    @pytest.fixture
    def store(self, endpoint, root, monkeypatch):  # noqa: F811
        facts: dict[str, Any] = {"submit_role_arn": SUBMIT} if self.bound else {}
        rights(root, kinds=(self.kind,), secrets=("secretsmanager:hf",), removes_records=True, **facts).put(endpoint)
        connection = json.dumps(endpoint.connection(role_arn=AIRFLOW))
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", connection)
        return open_store("s3://artifacts", CONN_ID)

    @pytest.fixture
    def backend(self, endpoint, store):  # noqa: F811
        bound = {"submit_role_arn": SUBMIT} if self.bound else {}
        settings = SageMakerSettings(role_arn=endpoint.role_arn, kind=self.kind, keep="on_failure", **bound)
        backend = self.connected(settings, CONN_ID, store)
        yield backend
        backend.client.close()

    @pytest.fixture(autouse=True)
    def nobody_is_refused_anything(self, endpoint):  # noqa: F811
        endpoint.roles.refusals.clear()
        yield
        assert endpoint.roles.refusals == []

    def test_checkpoints_and_large_results_need_no_other_rights(self, backend, root, started):
        """Uploads in parts, snapshots that are removed, and what SageMaker copies in the background."""
        run_id = f"{root}, {self.bound}, {self.connected.__name__}"  # the names of jobs that failed are taken
        for attempt, failing in ((1, True), (2, False)):
            step = ContractStep(_GOES_ON, run_id, arguments={"failing": failing})
            handle = step.submit(backend, root, attempt)
            found = self.finish(backend, handle)
            print(*self.read_log(backend, handle), sep="\n")
            assert found.status.state is (State.FAILED if failing else State.SUCCEEDED)
        assert "found a b c d" in self.read_log(backend, handle)
        result = step.ledger(backend, root, 2).read_result()
        assert result is not None
        assert result["outputs"]["return_value"]["artifact"]["size"] >= 12 << 20


class TestTrainingByPattern(OnNarrowSageMaker):
    pass


class TestTrainingByPatternWithAClient(OnNarrowSageMaker):
    connected = ConnectedWithClient


class TestTrainingBound(OnNarrowSageMaker):
    bound = True


class TestTrainingBoundWithAClient(OnNarrowSageMaker):
    bound = True
    connected = ConnectedWithClient


class TestProcessing(OnNarrowSageMaker):
    kind = "processing"
    test_checkpoints_and_large_results_need_no_other_rights = None  # without a client it has no checkpoints


class TestProcessingWithAClient(OnNarrowSageMaker):
    kind = "processing"
    connected = ConnectedWithClient


# --- the control: what is judged -----------------------------------------------------------------------------------------

UNUSED = {
    "job CreateResultsInParts": "up to 64 MiB go up in one request: see below", "job AbortUploads": "likewise",
    "job WriteMetrics": "the endpoint has no CloudWatch metrics",
}  # fmt: skip
"""Rows that no job here needs."""
WITHOUT_A_CLIENT = ("job SageMakerUploads", "airflow CleanStore")
FACTS: dict[str, Any] = {
    "submit_role_arn": SUBMIT, "secrets": ("secretsmanager:hf", "ssm:/ml/hf"), "removes_records": True,
}  # fmt: skip
ROWS = {f"{who} {row.sid}": row for who, rows in rights("s3://artifacts/x", **FACTS).rows().items() for row in rows}


@pytest.mark.parametrize("name", [name for name in ROWS if name not in UNUSED])
def test_without_a_row_somebody_is_refused_what_it_allows(endpoint, name, monkeypatch):  # noqa: F811
    root = f"s3://artifacts/without {name}"
    rights(root, **FACTS).put(endpoint, without=name)
    keeper = endpoint.client("secretsmanager")
    if "hf" not in {one["Name"] for one in keeper.list_secrets()["SecretList"]}:
        keeper.create_secret(Name="hf", SecretString=json.dumps({"token": "x"}))
    endpoint.client("ssm").put_parameter(Name="/ml/hf", Value="x", Type="SecureString", Overwrite=True)
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection(role_arn=AIRFLOW)))
    kind = Connected if name in WITHOUT_A_CLIENT else ConnectedWithClient
    settings = SageMakerSettings(role_arn=endpoint.role_arn, submit_role_arn=SUBMIT, keep="never")
    backend = kind(settings, CONN_ID, open_store("s3://artifacts", CONN_ID))
    secrets = {"A": {"secretsmanager": "hf", "key": "token"}, "B": {"ssm": "/ml/hf"}}
    step = ContractStep(_GOES_ON, name, arguments={"failing": False}, secrets={} if kind is Connected else secrets)
    endpoint.roles.refusals.clear()
    live_through(backend, step, root, endpoint)
    backend.client.close()
    refused = {refusal.action for refusal in endpoint.roles.refusals}
    assert refused & set(ROWS[name].actions)


def live_through(backend, step, root, endpoint) -> None:  # noqa: F811
    """A job's whole life, each part of it whatever became of those before."""
    name = sagemaker_name(step.identity.job_name(1))
    handle = JobHandle(backend.name, step.identity.job_name(1))
    observer = backend.observer()
    parts = [
        lambda: step.submit(backend, root), lambda: endpoint.wait(name, seconds=60),
        lambda: observer.observe([handle], 0.0), lambda: backend.read_log(handle), lambda: backend.collect(handle, {}),
        lambda: list(backend.store.list(root)), lambda: backend.forget(handle),
    ]  # fmt: skip
    for part in parts:
        with contextlib.suppress(MlxError, KeyError):
            part()


@pytest.mark.parametrize(
    ("without", "refused"),
    [
        pytest.param("", set(), id="all rows"),
        pytest.param("job CreateResultsInParts", {"s3:PutObject"}, id="no parts"),
        pytest.param("job CreateResults", {"s3:PutObject"}, id="no end of them"),
        pytest.param("job AbortUploads", {"s3:AbortMultipartUpload"}, id="no abort"),
    ],
)
def test_large_objects_go_up_in_parts_and_overwrite_nothing(endpoint, tmp_path, monkeypatch, without, refused):  # noqa: F811
    root, large = f"s3://artifacts/parts {without}", tmp_path / "large"
    large.write_bytes(bytes(6 << 20))
    rights(root).put(endpoint, without=without)
    job = endpoint.connection(role_arn=endpoint.role_arn)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", job["login"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", job["password"])
    monkeypatch.setattr(client_boto3, "SINGLE_REQUEST_BYTES", 1)
    client = client_boto3.Boto3Client("s3", {"endpoint_url": endpoint.url, "region": endpoint.region})
    place = f"{root}/{ContractStep().identity.attempt_folder(1)}/outputs/large"
    endpoint.roles.refusals.clear()
    with contextlib.nullcontext() if refused <= {"s3:AbortMultipartUpload"} else pytest.raises(PermissionError):
        client.create(large, place)
        with pytest.raises(FileExistsError):  # and it aborts what it has begun
            client.create(large, place)
    assert {refusal.action for refusal in endpoint.roles.refusals} == refused
