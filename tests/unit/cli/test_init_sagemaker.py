"""``init sagemaker``: what it writes can be used as it is, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.iam import airflow_permissions, job_permissions, policy
from airflow_provider_mlx.cli.init_sagemaker import (
    AIRFLOW_POLICY,
    JOB_POLICY,
    JOB_TRUST,
    SUBMIT_POLICY,
    SUBMIT_TRUST,
    SageMakerWish,
    check,
    documents,
    next_steps,
    parse_secrets,
    role_arn_of,
    stack_file,
)
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import load_stacks
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep

SUBMIT = "arn:aws:iam::123456789012:role/path/mlx-submit"
WISHES = [
    pytest.param(SageMakerWish(), id="as it is"),
    pytest.param(SageMakerWish(kind="processing", instances=("ml.t3.medium",)), id="processing"),
    pytest.param(SageMakerWish(submit_role_arn=SUBMIT, region="eu-central-1"), id="bound to the attempt"),
    pytest.param(
        SageMakerWish(
            subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",), volume_key="alias/v", output_key="k",
            secrets=parse_secrets(["hf=secretsmanager:hugging-face#token", "x=ssm:/ml/x"]), allowed=("s3://lake/",),
        ),
        id="with everything",
    ),
    pytest.param(
        SageMakerWish(image='r/"odd": #1', root="s3://b/päth", root_conn_id="aws: x"), id="names that YAML would change"
    ),
]  # fmt: skip


def load(file: Path, text: str):
    file.write_text(text)
    return load_stacks(
        deployment_files=[file], dag_file=None, bundle_root=None, bundle_stacks="deny",
        backend_settings={name: backend_class(name).settings_model for name in ("local", "sagemaker")},
        local_root="file:///tmp/mlx",
    )  # fmt: skip


@pytest.mark.parametrize("wish", WISHES)
def test_the_stack_file_loads_without_a_problem_and_says_what_was_asked(wish, tmp_path):
    check(wish)
    stacks = load(tmp_path / "mlx_stacks.yaml", stack_file(wish))
    stack = stacks.stack(stacks.default)
    assert not stack.incomplete
    assert (stack.artifacts.root, stack.artifacts.conn_id) == (wish.root, wish.root_conn_id or None)
    assert stack.artifacts.allowed == tuple(wish.allowed)
    [default], [spot, on_demand] = stack.targets["default"], stack.targets["gpu"]
    assert (default.settings.kind, default.settings.instances) == (wish.kind, tuple(wish.instances))
    assert default.secrets == wish.secrets
    assert (spot.resources["spot"], on_demand.resources.get("spot")) == (True, None)
    for target in (default, spot, on_demand):
        assert target.refusal is None
        assert (target.conn_id, target.image) == (wish.conn_id, wish.image)
        settings = target.settings
        assert (settings.role_arn, settings.submit_role_arn) == (wish.role_arn, wish.submit_role_arn or None)
        assert (settings.region, settings.keys.volume, settings.keys.output) == (
            wish.region,
            wish.volume_key,
            wish.output_key,
        )
        assert (settings.vpc.subnets if settings.vpc else ()) == tuple(wish.subnets)


@pytest.mark.parametrize("target", [("default", 0), ("gpu", 0), ("gpu", 1)], ids=lambda one: f"{one[0]} {one[1]}")
def test_a_step_can_be_planned_on_each_target(target, tmp_path):
    stack = load(tmp_path / "mlx_stacks.yaml", stack_file(SageMakerWish())).stack("sagemaker")
    chosen = stack.targets[target[0]][target[1]]
    backend = SageMakerBackend(chosen.settings)
    backend.image_for_tests = chosen.image
    planned = ContractStep(resources=Resources(**chosen.resources)).plan(backend, "s3://my-bucket/mlx")
    assert planned.request["operation"] == "CreateTrainingJob"
    assert planned.request["request"]["EnableManagedSpotTraining"] is bool(chosen.resources.get("spot"))


def test_every_commented_key_of_the_stack_file_is_one(tmp_path):
    lines = stack_file(SageMakerWish()).splitlines()
    keys = [line for line in lines if line.strip("# ").split(":")[0] in ("secrets", "network_isolation", "keep_alive")]
    assert len(keys) == 3
    stack = load(
        tmp_path / "mlx_stacks.yaml",
        "\n".join(line.replace("# ", "", 1) if line in keys else line for line in lines),
    ).stack("sagemaker")
    [default], [_, on_demand] = stack.targets["default"], stack.targets["gpu"]
    assert default.settings.network_isolation
    assert default.secrets == {"hf": {"secretsmanager": "hugging-face", "key": "token"}}
    assert on_demand.settings.seconds("keep_alive") == 900


@pytest.mark.parametrize("wish", WISHES)
def test_the_policies_are_those_of_the_tables(wish):
    found = {name: json.loads(text) for name, text in documents(wish).items()}
    assert found[AIRFLOW_POLICY] == policy(airflow_permissions(wish.scope))
    assert found[JOB_POLICY] == policy(job_permissions(wish.scope))
    assert found[JOB_TRUST]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert {SUBMIT_POLICY, SUBMIT_TRUST} & set(found) == (
        {SUBMIT_POLICY, SUBMIT_TRUST} if wish.submit_role_arn else set()
    )


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        pytest.param(SageMakerWish(role_arn="mlx-job"), "names no role", id="a role that is none"),
        pytest.param(SageMakerWish(submit_role_arn="x"), "names no role", id="another one that is none"),
        pytest.param(SageMakerWish(root="file:///mnt"), "SageMaker's jobs use S3", id="a root elsewhere"),
        pytest.param(SageMakerWish(instances=("ml.m5.larg",)), "did you mean `ml.m5.large`", id="a misspelt type"),
        pytest.param(SageMakerWish(subnets=("subnet-1",)), "name both", id="half a VPC"),
        pytest.param(
            SageMakerWish(kind="processing", submit_role_arn=SUBMIT), "processing jobs have no session tags",
            id="a processing job that is to be bound",
        ),
    ],
)  # fmt: skip
def test_what_no_target_can_be_made_of_is_refused(wish, said):
    with pytest.raises(InvalidStep, match=said):
        check(wish)


def test_all_problems_come_at_once():
    with pytest.raises(InvalidStep) as refused:
        check(SageMakerWish(root="file:///mnt", instances=("ml.x",), subnets=("subnet-1",)))
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize("text", ["hf", "hf=vault:x", "=ssm:x", "hf=ssm:"])
def test_a_secret_that_is_none_is_refused(text):
    with pytest.raises(InvalidStep, match="names no secret"):
        parse_secrets([text])


@pytest.mark.parametrize(
    ("region", "start"),
    [
        ("eu-central-1", "arn:aws:"),
        ("", "arn:aws:"),
        ("cn-north-1", "arn:aws-cn:"),
        ("us-gov-west-1", "arn:aws-us-gov:"),
    ],
)
def test_the_role_of_an_account(region, start):
    assert role_arn_of("123456789012", region) == f"{start}iam::123456789012:role/mlx-job"


def test_the_next_steps_are_those_that_are_left():
    stack = Path("/x/mlx_stacks.yaml")
    steps = "\n".join(next_steps(SageMakerWish(), stack=stack, deployment_id=""))
    assert steps.count("put your own") == 3
    assert "AIRFLOW__MLX__DEPLOYMENT_ID" in steps
    wish = SageMakerWish(
        role_arn="arn:aws:iam::123456789012:role/team/mlx", submit_role_arn=SUBMIT, root="s3://b/r", image="i",
        region="eu-central-1",
    )  # fmt: skip
    steps = "\n".join(next_steps(wish, stack=stack, deployment_id="prod"))
    assert "put your own" not in steps
    assert "DEPLOYMENT_ID" not in steps
    assert "create-role --role-name mlx --path /team/ " in steps
    assert (
        f"create-role --role-name mlx-submit --path /path/ --assume-role-policy-document file:///x/{SUBMIT_TRUST}"
        in steps
    )
    assert '\'{"region_name": "eu-central-1"}\'' in steps


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ, "AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
    }  # fmt: skip
    command = [sys.executable, "-m", "airflow_provider_mlx", "init", *arguments, "--output", str(tmp_path / "out")]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_command_writes_all_files_and_says_what_doctor_thinks(tmp_path):
    done = run(tmp_path, "sagemaker", "--account", "123456789012", "--region", "eu-central-1", "--root", "s3://b/r")
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "mlx_stacks.yaml",
        AIRFLOW_POLICY,
        JOB_POLICY,
        JOB_TRUST,
    }
    for part in ("next:", "aws iam create-role --role-name mlx-job", "doctor says of it now:", "fail     AWS aws_default in eu-central-1"):  # fmt: skip
        assert part in done.stdout
    again = run(tmp_path, "sagemaker", "--account", "123456789012")
    assert again.returncode == 1
    assert "would be overwritten" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sagemaker", "--namespace", "ml", "--dra"), "`--namespace` is for kubernetes, `--dra` is for kubernetes"),
        (("kubernetes", "--role-arn", "x"), "`--role-arn` is for sagemaker, not for kubernetes"),
    ],
)
def test_an_option_of_another_system_is_refused_not_ignored(tmp_path, arguments, said):
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
