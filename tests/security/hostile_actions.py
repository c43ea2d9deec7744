"""
What a hostile step on SageMaker tries, and what becomes of it under each form of the job's policy.

Writes that are tried where others write bear the condition that they overwrite nothing, which the policies allow most
readily; what is there already is written over without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.sagemaker_rights import AIRFLOW, JOB, SUBMIT

BUCKET = "artifacts"
YES, DENIED = "yes", "denied"
CREATE = {"IfNoneMatch": "*"}


@dataclass(frozen=True)
class Place:
    """
    Keys of one artifact root; the hostile job is attempt 2 of its task.

    :param base: the root's key.
    :param run_id: of the DAG run.
    """

    base: str
    run_id: str

    def attempt(self, number: int, **other: str) -> str:
        """The folder of an attempt, of the hostile task or of another one."""
        facts = {"deployment_id": "contract", "dag_id": "contract", "run_id": self.run_id, "task_id": "step", **other}
        return f"{self.base}/{TaskInstanceIdentity(**facts).attempt_folder(number)}"

    @property
    def own(self) -> str:
        return self.attempt(2)

    @property
    def before(self) -> str:
        return self.attempt(1)

    @property
    def other_task(self) -> str:
        return self.attempt(1, task_id="other")

    @property
    def other_dag(self) -> str:
        return self.attempt(1, dag_id="other")

    @property
    def other_checkpoints(self) -> str:
        return f"{self.other_task.rpartition('/')[0]}/checkpoints"

    def objects(self) -> Iterator[str]:
        """What is there before the hostile job."""
        for folder in (self.before, self.other_task):
            yield from (f"{folder}/{name}" for name in ("context.json", "result.json", "claim-1", "outputs/model.bin"))
            yield f"{folder}/sagemaker/job/output/data/mlx/result.json"
        yield f"{self.other_dag}/context.json"
        yield from (f"{self.other_checkpoints}/{name}" for name in ("since-1/objects/1", "sagemaker/step-9.pt"))
        yield from (f"{self.base}/bundles/code.zip", f"{self.base}/cache/venv.tar")
        yield from ("private/salaries.csv", "lake/raw/rows.csv")


class Action(NamedTuple):
    """
    One request of a hostile step.

    :param by_pattern: what becomes of it under the policy that goes by names.
    :param bound: what becomes of it under the policy that binds a job to its attempt.
    """

    name: str
    by_pattern: str
    bound: str
    service: str
    operation: str
    params: Mapping[str, Any]


def put(key: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return "s3", "put_object", {"Bucket": BUCKET, "Key": key, "Body": "forged", **more}


def create(key: str) -> tuple[str, str, dict[str, Any]]:
    """The request that the policies allow most readily: with the condition that it overwrites nothing."""
    return put(key, **CREATE)


def delete(key: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "delete_object", {"Bucket": BUCKET, "Key": key}


def read(key: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "get_object", {"Bucket": BUCKET, "Key": key}


def listed(**more: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "list_objects_v2", {"Bucket": BUCKET, **more}


def actions(place: Place, job_request: Mapping[str, Any], log_group: str) -> list[Action]:
    """
    Everything that is tried, in this order.

    :param job_request: of a training job under the job's role.
    :param log_group: of jobs of the hostile one's kind.
    """
    own, before = place.own, place.before
    copied = {"Bucket": BUCKET, "Key": f"{before}/result.json", "CopySource": f"{BUCKET}/{own}/context.json"}
    victim = {"logGroupName": log_group, "logStreamName": f"mlx-victim-{place.run_id}/algo-1-1"}
    tags = [{"Key": "mlx-attempt", "Value": before}, {"Key": "mlx-task", "Value": before.rpartition("/")[0]}]
    submitting = {"RoleArn": SUBMIT, "RoleSessionName": "hostile", "Tags": tags}
    rows: list[tuple[str, str, str, tuple[str, str, Mapping[str, Any]]]] = [
        # its own attempt
        ("create its own result", YES, YES, create(f"{own}/result.json")),
        ("overwrite its own result", DENIED, DENIED, put(f"{own}/result.json")),
        ("overwrite its own result in parts", DENIED, DENIED, ("s3", "parts", {"Bucket": BUCKET, "Key": f"{own}/result.json"})),
        ("delete its own result", DENIED, DENIED, delete(f"{own}/result.json")),
        ("leave an error", YES, YES, create(f"{own}/errors/1.json")),
        # what Airflow decides by
        ("forge a claim", DENIED, DENIED, create(f"{own}/claim-9")),
        ("exchange its context", DENIED, DENIED, put(f"{own}/context.json")),
        ("forge a record", DENIED, DENIED, create(f"{own}/handle.json")),
        ("ask for its stop", DENIED, DENIED, create(f"{own}/stop_requested")),
        ("exchange a bundle", DENIED, DENIED, put(f"{place.base}/bundles/code.zip")),
        ("add a bundle", DENIED, DENIED, create(f"{place.base}/bundles/more.zip")),
        ("delete a bundle", DENIED, DENIED, delete(f"{place.base}/bundles/code.zip")),
        ("write into a cache", DENIED, DENIED, create(f"{place.base}/cache/more.tar")),
        ("write elsewhere in the bucket", DENIED, DENIED, create("elsewhere/x")),
        # what other jobs have written
        ("overwrite another attempt's result", DENIED, DENIED, put(f"{before}/result.json")),
        ("copy over another attempt's result", DENIED, DENIED, ("s3", "copy_object", copied)),
        ("overwrite another task's output", DENIED, DENIED, put(f"{place.other_task}/outputs/model.bin")),
        ("delete another attempt's result", DENIED, DENIED, delete(f"{before}/result.json")),
        ("delete another task's output", DENIED, DENIED, delete(f"{place.other_task}/outputs/model.bin")),
        # what other jobs have still to write: here names do not tell one job from another
        ("forge the result of an attempt to come", YES, DENIED, create(f"{place.attempt(3)}/result.json")),
        ("forge another DAG's result", YES, DENIED, create(f"{place.other_dag}/result.json")),
        ("forge another task's error", YES, DENIED, create(f"{place.other_task}/error.json")),
        ("add to another attempt's outputs", YES, DENIED, create(f"{before}/outputs/more.bin")),
        ("exchange what SageMaker took of another job", YES, DENIED, put(f"{before}/sagemaker/job/output/data/mlx/result.json")),
        ("exchange another task's checkpoint", YES, DENIED, put(f"{place.other_checkpoints}/sagemaker/step-9.pt")),
        ("delete another task's checkpoint", YES, DENIED, delete(f"{place.other_checkpoints}/since-1/objects/1")),
        # reading
        ("read an allowed dataset", YES, YES, read("lake/raw/rows.csv")),
        ("read elsewhere in the bucket", DENIED, DENIED, read("private/salaries.csv")),
        ("read another bucket", DENIED, DENIED, ("s3", "get_object", {"Bucket": "private", "Key": "x"})),
        ("list elsewhere in the bucket", DENIED, DENIED, listed(Prefix="private/")),
        ("list the whole bucket", DENIED, DENIED, listed()),
        ("list a prefix that begins alike", DENIED, DENIED, listed(Prefix=place.base.rpartition("/")[0])),
        ("list the account's buckets", DENIED, DENIED, ("s3", "list_buckets", {})),
        # secrets
        ("read the target's secret", YES, YES, ("secretsmanager", "get_secret_value", {"SecretId": "hf"})),
        ("read another secret", DENIED, DENIED, ("secretsmanager", "get_secret_value", {"SecretId": "db-password"})),
        ("read a secret that is named alike", DENIED, DENIED, ("secretsmanager", "get_secret_value", {"SecretId": "hf-2"})),
        ("list the secrets", DENIED, DENIED, ("secretsmanager", "list_secrets", {})),
        ("read another parameter", DENIED, DENIED, ("ssm", "get_parameter", {"Name": "/ml/other"})),
        # becoming somebody else
        ("assume Airflow's role", DENIED, DENIED, ("sts", "assume_role", {"RoleArn": AIRFLOW, "RoleSessionName": "hostile"})),
        ("assume its own role anew", DENIED, DENIED, ("sts", "assume_role", {"RoleArn": JOB, "RoleSessionName": "hostile"})),
        ("have a job created in the name of another attempt", DENIED, DENIED, ("sts", "assume_role", submitting)),
        ("create a training job", DENIED, DENIED, ("sagemaker", "create_training_job", job_request)),
        ("list the training jobs", DENIED, DENIED, ("sagemaker", "list_training_jobs", {})),
        # logs: which lines are whose no policy says
        ("begin a stream in another job's log", YES, YES, ("logs", "create_log_stream", victim)),
        ("write lines into another job's log", YES, YES, ("logs", "put_log_events", {**victim, "logEvents": [{"timestamp": 1, "message": "x"}]})),
        ("read another job's log", DENIED, DENIED, ("logs", "get_log_events", victim)),
        ("delete another job's log", DENIED, DENIED, ("logs", "delete_log_stream", victim)),
    ]  # fmt: skip
    return [Action(name, by_pattern, bound, *request) for name, by_pattern, bound, request in rows]


OVERWRITING = (
    "overwrite its own result", "overwrite its own result in parts", "overwrite another attempt's result",
    "copy over another attempt's result", "overwrite another task's output",
)  # fmt: skip
"""Of training jobs a policy can refuse these; SageMaker's uploads for processing jobs go to the same places."""


def in_processing(action: Action) -> str:
    """What becomes of an action in a processing job."""
    return YES if action.name in OVERWRITING else action.by_pattern


HOSTILE = """
    import json

    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError


    def run(tries, **given):
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=20)
        outcomes = {}
        for name, service, operation, params in tries:
            try:
                client = boto3.client(service, region_name="eu-central-1", config=config, **given)
                in_parts(client, **params) if operation == "parts" else getattr(client, operation)(**params)
                outcomes[name] = "yes"
            except ClientError as error:
                outcomes[name] = error.response["Error"]["Code"]
            except BotoCoreError as error:
                outcomes[name] = type(error).__name__
        print(f"outcomes {json.dumps(outcomes)}")


    def in_parts(client, **where):
        where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
        part = client.upload_part(**where, PartNumber=1, Body=b"forged")
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
"""
