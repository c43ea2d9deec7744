"""The policies: what they allow and what they refuse, and that Airflow's has what the backend calls and nothing else."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.backends import sagemaker
from airflow_provider_mlx.backends.sagemaker import iam
from airflow_provider_mlx.backends.sagemaker.channels import checkpoints_uri, staging_uri
from airflow_provider_mlx.backends.sagemaker.iam_scope import Scope, check_scope, image_region, scope_of
from airflow_provider_mlx.backends.sagemaker.names import ATTEMPT_TAG, TASK_TAG, session_tags
from airflow_provider_mlx.backends.sagemaker.plan import OPERATIONS
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.aws.policy import Need, Trusted, checked_policy, checked_trust, trusted, verdict

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mlx-job"
SUBMIT = f"arn:aws:iam::{ACCOUNT}:role/mlx-submit"
TRAINING = Scope(ROLE, "s3://ml-prod/mlx", region="eu-central-1", allowed=("s3://lake/raw/",))
PROCESSING = replace(TRAINING, kinds=("training", "processing"))
BOUND = replace(TRAINING, submit_role_arn=SUBMIT)
FULL = replace(
    PROCESSING, removes_records=True, vpc=True, volume_key="alias/disks", output_key=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1",
    secrets=("secretsmanager:hugging-face", "ssm:/ml/hf"),
    images=("763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-training:2.9", f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/ml:1"),
)  # fmt: skip

RUN = "mlx/runs/default/churn/run-7/train/-1"
OWN = {f"aws:PrincipalTag/{ATTEMPT_TAG}": f"{RUN}/attempt-2", f"aws:PrincipalTag/{TASK_TAG}": RUN}
CREATES = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
OVERWRITES = {"s3:ObjectCreationOperation": "true"}
PART = {"s3:ObjectCreationOperation": "false"}


def allows(permissions: tuple[iam.Permission, ...], action: str, resource: str, **context: str) -> bool:
    """Whether a policy of these rows allows something."""
    return verdict([checked_policy(iam.policy(permissions))], Need(action, resource, context)) == "allowed"


def puts(scope: Scope, key: str, context: Mapping[str, str], tags: Mapping[str, str] = OWN) -> bool:
    """Whether a job may send a request that writes there."""
    return allows(iam.job_permissions(scope), "s3:PutObject", f"arn:aws:s3:::ml-prod/{key}", **{**tags, **context})


# --- Airflow's own -----------------------------------------------------------------------------------------------------

IMPLIED = {
    "sagemaker:AddTags": "of Create calls with Tags",
    "iam:PassRole": "of Create calls with RoleArn",
    "sts:TagSession": "of AssumeRole calls with Tags",
}
STORE = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}


def called_operations() -> Iterator[tuple[str, str]]:
    """Service and operation of every ``client.call`` in the backend's source, for both kinds of job."""
    for path in Path(sagemaker.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call":
                service = next((ast.literal_eval(k.value) for k in node.keywords if k.arg == "service"), "sagemaker")
                for name in spelled(node.args[0]):
                    yield service, name


def spelled(name: ast.expr) -> list[str]:
    if isinstance(name, ast.Constant):
        return [str(name.value)]
    if isinstance(name, ast.JoinedStr):
        return [
            "".join(part.value if isinstance(part, ast.Constant) else kind for part in name.values)
            for kind in ("training", "processing")
        ]
    assert ast.unparse(name) == "_verb(request['operation'])", "a call whose operation this test cannot read"
    return list(OPERATIONS.values())


def action_of(service: str, operation: str) -> str:
    """``sagemaker:ListTrainingJobs`` of ``list_training_jobs``."""
    return (
        f"{service}:{operation if operation[0].isupper() else ''.join(part.title() for part in operation.split('_'))}"
    )


def test_airflows_policy_has_every_operation_that_the_backend_calls_and_none_besides():
    called = {action_of(*one) for one in called_operations()}
    assert len(called) > 10, "the calls are found"
    rows = [*iam.airflow_permissions(FULL), *iam.airflow_permissions(replace(BOUND, removes_records=True))]
    written = {action for row in rows for action in row.actions}
    assert called - written == set()
    assert written - called == set(IMPLIED) | STORE | {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize(
    ("action", "resource", "context", "allowed"),
    [
        pytest.param("sagemaker:CreateTrainingJob", "training-job/mlx-churn-1", {}, True, id="our jobs are created"),
        pytest.param("sagemaker:CreateTrainingJob", "training-job/churn-1", {}, False, id="others are not"),
        pytest.param("sagemaker:StopTrainingJob", "training-job/other", {}, False, id="and not stopped"),
        pytest.param("sagemaker:DeleteTrainingJob", "training-job/mlx-1", {}, False, id="records are kept"),
        pytest.param("sagemaker:CreateProcessingJob", "processing-job/mlx-1", {}, False, id="no kind that is not used"),
    ],
)  # fmt: skip
def test_what_airflow_may_do_with_jobs(action, resource, context, allowed):
    arn = f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:{resource}"
    assert allows(iam.airflow_permissions(TRAINING), action, arn, **context) is allowed


def test_one_role_is_passed_to_one_service():
    rows = iam.airflow_permissions(TRAINING)
    assert allows(rows, "iam:PassRole", ROLE, **{"iam:PassedToService": "sagemaker.amazonaws.com"})
    assert not allows(rows, "iam:PassRole", ROLE, **{"iam:PassedToService": "ec2.amazonaws.com"})
    assert not allows(rows, "iam:PassRole", f"{ROLE}2", **{"iam:PassedToService": "sagemaker.amazonaws.com"})


def test_with_a_role_that_creates_jobs_airflow_itself_does_not():
    rows = {row.sid for row in iam.airflow_permissions(BOUND)}
    assert {"CreateTrainingJobs", "PassJobRole"} & rows == set()
    assert [row.sid for row in iam.submit_permissions(BOUND)] == ["CreateTrainingJobs", "PassJobRole"]
    assert iam.submit_permissions(TRAINING) == ()
    assert allows(iam.airflow_permissions(BOUND), "sts:AssumeRole", SUBMIT)


@pytest.mark.parametrize("folder", ["runs", "bundles", "doctor"])
def test_airflow_writes_and_cleans_its_own_folders_of_the_root(folder):
    rows = iam.airflow_permissions(TRAINING)
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
        assert allows(rows, action, f"arn:aws:s3:::ml-prod/mlx/{folder}/x")
        assert not allows(rows, action, f"arn:aws:s3:::ml-prod/elsewhere/{folder}/x")
    assert not allows(rows, "s3:PutObject", "arn:aws:s3:::lake/raw/x")


# --- the job's ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["outputs/return_value.parquet", "result.json", "error.json", "errors/x.json", "rescue/x.pickle"])  # fmt: skip
@pytest.mark.parametrize("scope", [TRAINING, BOUND], ids=["by pattern", "bound"])
def test_a_job_creates_its_results_and_overwrites_none(scope, name):
    key = f"{RUN}/attempt-2/{name}"
    assert puts(scope, key, CREATES)
    assert puts(scope, key, PART)
    assert not puts(scope, key, OVERWRITES)


@pytest.mark.parametrize("name", ["context.json", "job.json", "handle.json", "claim-1", "log.txt", "stop_requested", "running.json"])  # fmt: skip
@pytest.mark.parametrize("scope", [TRAINING, BOUND, PROCESSING], ids=["by pattern", "bound", "with processing"])
def test_no_job_writes_what_is_airflows(scope, name):
    assert not puts(scope, f"{RUN}/attempt-2/{name}", CREATES)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(f"{RUN}/attempt-1/result.json", id="another attempt's result"),
        pytest.param(f"{RUN}/attempt-1/sagemaker/job/output/data/mlx/result.json", id="what SageMaker takes from it"),
        pytest.param("mlx/runs/default/churn/run-7/other/-1/attempt-1/outputs/x", id="another task's output"),
        pytest.param("mlx/runs/default/churn/run-7/other/-1/checkpoints/x", id="another task's checkpoints"),
        pytest.param(f"{RUN}/attempt-22/outputs/x", id="an attempt whose name begins alike"),
        pytest.param("mlx/bundles/x.zip", id="a bundle"),
    ],
)
def test_a_job_that_is_bound_writes_in_its_own_attempt_alone(key):
    assert not puts(BOUND, key, CREATES)
    assert not puts(BOUND, f"{RUN}/attempt-2/outputs/x", CREATES, tags={}), "a session without tags writes nothing"


@pytest.mark.parametrize("name", ["result.json", "error.json", "outputs/a/b.bin", "errors/1.json", "rescue/x", "claim-1",
                                  "context.json", "log.txt", "outputs", "x/result.json", "sagemaker/x"])  # fmt: skip
def test_what_is_carried_for_a_job_is_what_it_may_write_itself(name):
    assert iam.may_write(name) is puts(BOUND, f"{RUN}/attempt-2/{name}", CREATES) or name.startswith("sagemaker/")


def test_what_sagemaker_uploads_for_a_job_needs_no_condition():
    identity = TaskInstanceIdentity("default", "churn", "run-7", "train")
    uri = f"s3://ml-prod/mlx/{identity.attempt_folder(2)}"
    spec: Any = type("Spec", (), {"outputs_uri": uri})
    assert session_tags(spec) == {ATTEMPT_TAG: OWN[f"aws:PrincipalTag/{ATTEMPT_TAG}"], TASK_TAG: RUN}
    for scope in (TRAINING, BOUND):
        for folder in (staging_uri(spec), checkpoints_uri(spec)):
            assert puts(scope, f"{folder.partition('ml-prod/')[2]}/x", OVERWRITES)


@pytest.mark.parametrize("scope", [PROCESSING, replace(TRAINING, any_client=True)], ids=["processing", "old clients"])
def test_overwriting_is_allowed_where_it_must_be(scope):
    assert puts(scope, f"{RUN}/attempt-2/outputs/x", OVERWRITES)
    assert not puts(scope, "mlx/bundles/x.zip", OVERWRITES)


@pytest.mark.parametrize("scope", [TRAINING, BOUND], ids=["by pattern", "bound"])
def test_a_job_removes_checkpoints_and_nothing_else(scope):
    rows = iam.job_permissions(scope)
    assert allows(rows, "s3:DeleteObject", f"arn:aws:s3:::ml-prod/{RUN}/checkpoints/since-1/objects/1", **OWN)
    assert not allows(rows, "s3:DeleteObject", f"arn:aws:s3:::ml-prod/{RUN}/attempt-2/result.json", **OWN)


@pytest.mark.parametrize(
    ("prefix", "bucket", "allowed"),
    [
        ("mlx/bundles/x.zip", "ml-prod", True), ("mlx/runs/a/", "ml-prod", True), ("other/", "ml-prod", False),
        ("", "ml-prod", False), ("raw/", "lake", True), ("raw/2026/", "lake", True), ("private/", "lake", False),
    ],
)  # fmt: skip
def test_a_job_lists_what_it_may_read(prefix, bucket, allowed):
    rows = iam.job_permissions(TRAINING)
    assert allows(rows, "s3:ListBucket", f"arn:aws:s3:::{bucket}", **{"s3:prefix": prefix}) is allowed
    assert allows(rows, "s3:GetObject", f"arn:aws:s3:::{bucket}/{prefix}x") is allowed


def test_secrets_and_network_are_allowed_only_where_a_target_names_them():
    arn = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:hugging-face-a1B2c3"
    parameter = f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/ml/hf"
    assert allows(iam.job_permissions(FULL), "secretsmanager:GetSecretValue", arn)
    assert not allows(iam.job_permissions(FULL), "secretsmanager:GetSecretValue", arn.replace("face", "face-2"))
    assert allows(iam.job_permissions(FULL), "ssm:GetParameter", parameter)
    assert not allows(iam.job_permissions(TRAINING), "secretsmanager:GetSecretValue", arn)
    assert {"JoinNetwork", "FetchSecrets"} & {row.sid for row in iam.job_permissions(TRAINING)} == set()


def test_images_of_other_accounts_are_pulled_where_they_are_named():
    rows, arn = iam.job_permissions(FULL), "arn:aws:ecr:eu-central-1:763104351884:repository"
    assert allows(rows, "ecr:BatchGetImage", f"{arn}/pytorch-training")
    assert not allows(rows, "ecr:BatchGetImage", f"{arn}/other")
    assert allows(rows, "ecr:BatchGetImage", f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/any")


def test_the_root_of_a_bucket_and_a_prefix_with_wild_cards():
    whole = replace(TRAINING, root="s3://ml-prod", allowed=())
    assert puts(whole, "runs/a/b/c/d/-1/attempt-1/outputs/x", CREATES)
    odd = replace(TRAINING, root="s3://ml-prod/a*b$c", allowed=())
    assert puts(odd, "a*b$c/runs/a/b/c/d/-1/attempt-1/outputs/x", CREATES)
    assert not puts(odd, "axb$c/runs/a/b/c/d/-1/attempt-1/outputs/x", CREATES)


# --- documents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [TRAINING, PROCESSING, BOUND, FULL], ids=["training", "both", "bound", "full"])
def test_each_policy_fits_into_a_managed_one_and_names_each_row_once(scope):
    for rows in (iam.airflow_permissions(scope), iam.job_permissions(scope), iam.submit_permissions(scope)):
        document = iam.policy(rows)
        assert iam.characters(document) < iam.MANAGED_CHARACTERS
        assert len({row.sid for row in rows}) == len(rows)
        assert all(row.sid.isalnum() and row.why and row.actions and row.on for row in rows)
        assert json.loads(json.dumps(document)) == document


def test_no_row_allows_more_than_it_must():
    for rows in (iam.airflow_permissions(FULL), iam.job_permissions(FULL)):
        assert not any("*" in action for row in rows for action in row.actions)
        everywhere = {action for row in rows if "*" in row.on for action in row.actions}
        assert {action.partition(":")[0] for action in everywhere} <= {"sagemaker", "cloudwatch", "ecr", "ec2"}
        assert not any(action.startswith("sagemaker:") and ":List" not in action for action in everywhere)


def test_who_may_assume_the_roles():
    [plain] = iam.job_trust(TRAINING)["Statement"]
    [bound] = iam.job_trust(BOUND)["Statement"]
    assert plain["Action"] == ["sts:AssumeRole"]
    assert bound["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert plain["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    [submit] = iam.submit_trust(BOUND)["Statement"]
    assert submit["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


@pytest.mark.parametrize(
    ("keys", "by_account"),
    [
        ((ATTEMPT_TAG, TASK_TAG), "allowed"), ((ATTEMPT_TAG, TASK_TAG, "team"), "not allowed"), (("team",), "not allowed"),
    ],
)  # fmt: skip
def test_the_role_that_creates_jobs_takes_its_two_tags_alone(keys, by_account):
    airflow = f"arn:aws:iam::{ACCOUNT}:role/airflow"
    document = checked_trust(iam.submit_trust(BOUND))
    for action in ("sts:AssumeRole", "sts:TagSession"):
        need = Need(action, SUBMIT, {"aws:TagKeys": keys})
        assert trusted(document, need, role_arn=airflow) == Trusted("not allowed", by_account)


@pytest.mark.parametrize(("account", "by_name"), [(ACCOUNT, "allowed"), ("210987654321", "not allowed")])
def test_the_job_role_is_sagemakers_for_this_account(account, by_name):
    for scope, action in ((TRAINING, "sts:AssumeRole"), (BOUND, "sts:AssumeRole"), (BOUND, "sts:TagSession")):
        need = Need(action, ROLE, {"aws:SourceAccount": account})
        document = checked_trust(iam.job_trust(scope))
        assert trusted(document, need, service=iam.SERVICE).by_name == by_name


def test_an_alias_is_a_condition_on_all_keys():
    row = next(one for one in iam.job_permissions(FULL) if one.sid == "UseVolumeKey")
    assert row.on == (f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/*",)
    assert row.condition["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/disks"}


def test_the_partition_is_the_roles():
    china = replace(TRAINING, role_arn="arn:aws-cn:iam::111122223333:role/x", region="cn-north-1")
    assert "arn:aws:" not in json.dumps(iam.policy((*iam.airflow_permissions(china), *iam.job_permissions(china))))


def test_a_scope_of_targets_has_what_they_need_together():
    settings = [
        SageMakerSettings(role_arn=ROLE, kind="processing", keep="never"),
        SageMakerSettings(role_arn=ROLE, region="eu-central-1", vpc={"subnets": ["s"], "security_groups": ["g"]}),
    ]
    found = scope_of(
        settings, root="s3://b/r", allowed=["s3://lake/", "file:///x/"], region="eu-central-1",
        secrets=[{"secretsmanager": "hf", "key": "t"}, {"ssm": "/x"}],
    )  # fmt: skip
    assert (found.kinds, found.region, found.vpc, found.removes_records) == (
        ("training", "processing"),
        "eu-central-1",
        True,
        True,
    )
    assert (found.allowed, found.secrets) == (("s3://lake/",), ("secretsmanager:hf", "ssm:/x"))
    assert scope_of(settings, root="s3://b/r", region="eu-west-1").region == "*"


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (replace(PROCESSING, submit_role_arn=SUBMIT), "processing jobs have no session tags"),
        (replace(TRAINING, root="file:///mnt"), "use S3"),
    ],
)
def test_what_no_policy_can_be_written_for(scope, said):
    with pytest.raises(InvalidStep, match=said):
        check_scope(scope)


@pytest.mark.parametrize(
    ("image", "region"),
    [
        ("111122223333.dkr.ecr.eu-central-1.amazonaws.com/ml:1", "eu-central-1"),
        ("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/team/ml@sha256:0", "cn-north-1"),
        ("111122223333.dkr.ecr-fips.us-east-1.amazonaws.com/ml:1", "us-east-1"),
        ("registry.example.com/ml:1", None),
        ("python:3.12", None),
    ],
)
def test_the_region_of_an_images_registry(image, region):
    assert image_region(image) == region
