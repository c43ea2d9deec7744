from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mlx.stacks import PolicyQuestion, check_policy

FILE = """\
stacks: {prod: {artifacts: {root: "s3://a/"}, targets: {default: {backend: local}}}}
policy:
  targets:
    "prod.gpu":
      dags: ["churn*", fraud]
      images: ["registry/*"]
      service_accounts: [ml]
      roles: []
      overrides: ["kubernetes.queue"]
      max_gpu: 4
      max_nodes: 2
      max_runtime: 12h
      pool: gpu_pool
    "*": {}
    "prod.*": {max_nodes: 3}
"""


def question(**changes):
    allowed = {
        "dag_id": "churn",
        "task_id": "train",
        "stack": "prod",
        "target": "gpu",
        "image": "registry/ml:1",
        "service_account": "ml",
        "overrides": ("kubernetes.queue",),
        "gpu": 4,
        "nodes": 2,
        "max_runtime": timedelta(hours=12),
        "pool": "gpu_pool",
    }
    return PolicyQuestion(**{**allowed, **changes})


@pytest.mark.parametrize(
    ("changes", "refusals"),
    [
        pytest.param({}, [], id="what is within every limit is allowed"),
        pytest.param({"target": "other", "gpu": 99, "image": "x"}, [], id="a rule for another target does not apply"),
        pytest.param({"image": None, "role": None, "service_account": None}, [], id="a backend without images, roles, accounts"),
        pytest.param({"dag_id": "spam"}, ["dags: the DAG `spam` is not allowed → allowed: `churn*`, `fraud`"], id="another DAG"),
        pytest.param({"image": "evil/x"}, ["images: the image `evil/x` is not allowed → allowed: `registry/*`"], id="another image"),
        pytest.param({"service_account": "default"}, ["service_accounts: the service account `default` is not allowed → allowed: `ml`"], id="another account"),
        pytest.param({"role": "arn"}, ["roles: the role `arn` is not allowed → none is allowed"], id="an empty list allows nothing"),
        pytest.param({"overrides": ("kubernetes.namespace",)}, ["overrides: overriding `kubernetes.namespace` is not allowed → allowed: `kubernetes.queue`"], id="another override"),
        pytest.param({"gpu": 8}, ["max_gpu: 8 GPUs are asked for, over all nodes → ask for at most 4"], id="too many GPUs"),
        pytest.param({"nodes": 3}, ["max_nodes: 3 nodes are asked for → ask for at most 2"], id="too many nodes"),
        pytest.param({"max_runtime": timedelta(hours=13)}, ["max_runtime: the time limit is 13h → ask for at most 12h"], id="too long"),
        pytest.param({"max_runtime": None}, ["max_runtime: the step has no time limit → set `timeout=` of the step or `max_runtime:` of the target, at most 12h"], id="no limit is too long"),
        pytest.param({"pool": "default_pool"}, ['pool: the task runs in the pool `default_pool` → say pool="gpu_pool"'], id="another pool"),
    ],
)  # fmt: skip
def test_what_the_policy_refuses(load, changes, refusals):
    problems = check_policy(load(FILE).policy, question(**changes))
    prefix = 'dags/mlx_stacks.yaml:4:5, policy.targets."prod.gpu".'
    assert [str(problem) for problem in problems] == [prefix + refusal for refusal in refusals]


def test_every_rule_that_matches_applies(load):
    problems = check_policy(load(FILE).policy, question(nodes=4))
    assert [problem.field for problem in problems] == [
        'dags/mlx_stacks.yaml:4:5, policy.targets."prod.gpu".max_nodes',
        'dags/mlx_stacks.yaml:15:5, policy.targets."prod.*".max_nodes',
    ]
