"""Requests as SageMaker gets them: whole ones as golden files, and the rules behind them as tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.plan import merged
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.backends.sagemaker.validation import request_problems
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.runtime.values import Dataset
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep
from tests.golden import assert_golden

GOLDEN = Path(__file__).parent / "golden"
ROLE = "arn:aws:iam::123456789012:role/ml"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ml:2026.11"
ROOT = "s3://ml-prod/mlx"


DATASETS = {
    "rows": Dataset("s3://lake/rows/").to_wire(),
    "notes": [Dataset("s3://lake/notes.txt").to_wire(), Dataset("s3://lake/rows/").to_wire()],
    "elsewhere": Dataset("gs://lake/rows/").to_wire(),
}


def plan(step: ContractStep | None = None, **settings):
    backend = SageMakerBackend(SageMakerSettings(role_arn=ROLE, **settings))
    backend.image_for_tests = IMAGE
    return (step or ContractStep()).plan(backend, ROOT)


def refusal(step: ContractStep | None = None, **settings) -> str:
    with pytest.raises(InvalidStep) as refused:
        plan(step, **settings)
    return str(refused.value)


def without_digests(request):
    """The bundle's digest changes with every line of the runtime, and the context's with it."""
    return json.loads(re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", json.dumps(request)))


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        pytest.param({}, {}, id="training"),
        pytest.param({}, {"kind": "processing"}, id="processing"),
        pytest.param(
            {"resources": Resources(gpu="L4:1", spot=True, timeout="4h")},
            {"max_wait": "12h", "keep_alive": None, "instances": ["ml.g6.2xlarge", "ml.g6.4xlarge"]},
            id="training on spot",
        ),
        pytest.param(
            {"resources": Resources(nodes=2, gpu="A100:8", launcher="torchrun")},
            {
                "vpc": {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}, "traffic_encryption": True,
                "keys": {"volume": "volume-key", "output": "output-key"}, "keep_alive": "30m",
                "metrics": {"loss": "loss=([0-9.]+)"}, "job_tags": {"cost": "churn"},
            },
            id="training on two nodes",
        ),
        pytest.param(
            {
                "env": {"PLAIN": "ü = 1"},
                "secrets": {"TOKEN": {"secretsmanager": "hf", "key": "token"}, "OTHER": {"ssm": "/ml/other"}},
            },
            {"kind": "processing"},
            id="processing with secrets",
        ),
        pytest.param(
            {"command": ("python", "/opt/ml/code/train.py", "--epochs", "3"), "image": IMAGE}, {}, id="a command",
        ),
        pytest.param({}, {"network_isolation": True}, id="no network"),
        pytest.param(
            {"arguments": DATASETS, "resources": Resources(nodes=2)}, {"datasets": "FastFile", "shard_datasets": True},
            id="datasets",
        ),
    ],
)  # fmt: skip
def test_request(step, settings, request):
    name = request.node.callspec.id.replace(" ", "-")
    assert_golden(GOLDEN / f"{name}.json", without_digests(plan(ContractStep(**step), **settings).request))


def test_a_bootstrap_is_one_line_of_at_most_256_characters():
    """The API's pattern for an argument is ``.*``, which no line feed matches."""
    algorithm = plan().request["request"]["AlgorithmSpecification"]
    assert all(len(text) <= 256 and "\n" not in text for text in algorithm["ContainerEntrypoint"])
    assert all(len(text) <= 256 for text in algorithm["ContainerArguments"])


def test_a_training_job_has_a_limit_also_where_the_step_has_none():
    assert plan().request["request"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 5 * 86_400}


@pytest.mark.parametrize(
    ("step", "settings", "said"),
    [
        pytest.param({"resources": Resources(gpu=0.5)}, {}, "instances have whole GPUs", id="a share of a GPU"),
        pytest.param({"resources": Resources(spot=True)}, {"kind": "processing"},
                     "processing jobs have no spot instances → leave it out, or use a target of `kind: training`",
                     id="spot of a processing job"),
        pytest.param({"resources": Resources(gpu="H200:1")}, {"instances": ["ml.g6.2xlarge"]}, "ml.g6.2xlarge (L4:1)",
                     id="a GPU that no instance has names the nearest"),
        pytest.param({"env": {"LONG": "x" * 513}}, {}, "it has 513 characters, more than 512", id="a long variable"),
        pytest.param({"env": {"LONG": "x" * 257}}, {"kind": "processing"}, "it has 257 characters, more than 256",
                     id="a long variable of a processing job"),
        pytest.param({"secrets": {"TOKEN": {"name": "hf"}}}, {}, "is not a secret of AWS", id="Kubernetes' secret"),
        pytest.param({"secrets": {"TOKEN": {"ssm": "hf"}}}, {"network_isolation": True},
                     "a job without a network cannot fetch secrets", id="a secret without a network"),
        pytest.param({"arguments": DATASETS}, {"kind": "processing", "datasets": "FastFile"},
                     "processing jobs have no input mode FastFile", id="FastFile of a processing job"),
        pytest.param({"arguments": {"many": [Dataset(f"s3://lake/{n}/").to_wire() for n in range(20)]}},
                     {"datasets": "File"}, "brings 18 inputs to a training job, and the step has 20 datasets",
                     id="more datasets than channels"),
        pytest.param({}, {"request_override": {"ResourceConfig": {"InstanceTyp": "x"}}},
                     "ResourceConfig.InstanceTyp: the API has no such field", id="a misspelt override"),
        pytest.param({}, {"request_override": {"TrainingJobName": "a b"}}, "does not match", id="an override's pattern"),
    ],
)  # fmt: skip
def test_refused(step, settings, said):
    assert said in refusal(ContractStep(**step), **settings)


def test_all_problems_are_said_at_once():
    step = ContractStep(resources=Resources(gpu="H200:1"), secrets={"TOKEN": {"name": "hf"}})
    said = refusal(step, instances=["ml.g6.2xlarge"])
    assert "none of the target's instances" in said
    assert "is not a secret of AWS" in said


def test_a_root_that_is_not_s3_is_refused(tmp_path):
    backend = SageMakerBackend(SageMakerSettings(role_arn=ROLE))
    backend.image_for_tests = IMAGE
    with pytest.raises(InvalidStep, match="use an s3:// root"):
        ContractStep().plan(backend, tmp_path.as_uri())


def test_an_override_is_merged_into_mappings_and_replaces_the_rest():
    assert merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "e": 3}) == {
        "a": {"b": 1, "c": [2]}, "d": 2, "e": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("RoleArn", "x" * 19, "it has 19 characters, fewer than 20"),
        ("TrainingJobName", "-x", "does not match"),
        ("StoppingCondition", {"MaxRuntimeInSeconds": 0}, "0 is below 1"),
        ("StoppingCondition", {"MaxPendingTimeInSeconds": 60}, "60 is below 1800"),
        ("ResourceConfig", {"InstanceType": "ml.g99.large"}, "is none of"),
        ("Tags", [{"Key": "a"}], "it is required, and not set"),
        ("EnableNetworkIsolation", "yes", "is neither true nor false"),
        ("Environment", {"1A": "x"}, "does not match"),
    ],
)
def test_the_services_own_model_is_asked(field, value, said):
    request = plan().request["request"] | {field: value}
    problem, *_ = request_problems("CreateTrainingJob", request)
    assert said in problem.what
    assert problem.field.startswith(field)


def test_datasets_are_read_by_their_uri_unless_the_target_says_otherwise():
    channels = plan(ContractStep(arguments=DATASETS)).request["request"]["InputDataConfig"]
    assert [one["ChannelName"] for one in channels] == ["mlx-code", "mlx-context"]


def test_a_job_is_told_where_its_datasets_are_files():
    planned = plan(ContractStep(arguments=DATASETS), datasets="File")
    mounts = {one["uri"]: one["path"] for one in json.loads(planned.context)["store"]["mounts"]}
    assert mounts["s3://lake/rows"] == "/opt/ml/input/data/mlx-data-1"
    assert mounts["s3://lake/notes.txt"] == "/opt/ml/input/data/mlx-data-2/notes.txt"
    assert "gs://lake/rows" not in mounts
