"""Manifests as authors write them, and the clusters to which they can go."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.kubernetes.settings import ResourceKind
from airflow_provider_mlx.backends.registry import InstalledSettings, backend_class, backend_names
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.jobs.plan import Planner, PlanningOptions
from airflow_provider_mlx.operators.kubernetes_resource import MlxKubernetesResourceOperator
from airflow_provider_mlx.operators.manifest import Placing, parse_manifest, resource_targets
from airflow_provider_mlx.stacks import load_stacks
from airflow_provider_mlx.stacks.stack import PolicyRule
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

JOB = {"apiVersion": "batch/v1", "kind": "Job", "spec": {}}
YAML = "# a comment\napiVersion: batch/v1\nkind: Job\nmetadata: {labels: {since: 2026-01-01}}\n"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(JOB, JOB, id="a dict"),
        pytest.param(
            YAML, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"since": "2026-01-01"}}},
            id="YAML, in which a date is text, as kubectl reads it",
        ),
        pytest.param("---\n" + YAML.splitlines()[1] + "\nkind: Job\n---\n", {"apiVersion": "batch/v1", "kind": "Job"}, id="one document"),
    ],
)  # fmt: skip
def test_a_manifest_is_read(given, found):
    assert parse_manifest(given) == found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param("a: [", "cannot be read", id="no YAML"),
        pytest.param("", "0 objects", id="nothing"),
        pytest.param(f"{YAML}---\n{YAML}", "2 objects", id="several objects"),
        pytest.param("kind: Job", "apiVersion", id="no object"),
        pytest.param({**JOB, "spec": {"a": object()}}, "cannot be read", id="what JSON cannot say"),
        pytest.param({**JOB, "spec": float("nan")}, "cannot be read", id="a number that JSON does not have"),
    ],
)
def test_what_is_no_manifest_is_refused(given, words):
    with pytest.raises(InvalidStep, match=words):
        parse_manifest(given)


STACKS = """
default: one
stacks:
  one:
    artifacts: {root: "file:///tmp/mlx"}
    tags: {team: a}
    tracking: {mlflow: {uri: "http://mlflow:5000"}}
    targets:
      default:
        - {backend: kubernetes, conn_id: near, namespace: ml, queue: q, keep: never, max_runtime: 2h}
        - {backend: local, max_runtime: 2h}
        - {backend: trainer, conn_id: far, max_runtime: 2h}
      laptop: {backend: local}
"""


@pytest.fixture
def stacks(tmp_path):
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text(STACKS)
    return load_stacks(
        deployment_files=[str(file)], dag_file=None, bundle_root=None, bundle_stacks="allow",
        backend_settings=InstalledSettings(), local_root=tmp_path.as_uri(),
    )  # fmt: skip


def targets(stacks, **said):
    placing = Placing("dag", "task", **said)
    return resource_targets(stacks, "one", placing, ResourceKind(api_version="batch/v1", kind="Job"), why="")


def test_every_cluster_of_the_target_is_a_candidate(stacks):
    found = targets(stacks)
    assert [(one.backend, one.conn_id, one.settings.namespace) for one in found.targets] == [
        ("kubernetes_resource", "near", "ml"), ("kubernetes_resource", "far", "default"),
    ]  # fmt: skip
    assert (found.targets[0].settings.keep, found.targets[0].tags) == ("never", {"team": "a"})
    assert str(found.targets[0].max_runtime) == "2:00:00"
    assert found.targets[0].tracking == {}, "of the stack's steps, and not of what others run"
    assert found.overrides == ()


def test_what_the_task_says_itself_is_told_to_the_policy(stacks):
    found = targets(stacks, namespace="mine", keep="always", max_runtime="1h")
    assert {one.settings.namespace for one in found.targets} == {"mine"}
    assert found.overrides == ("kubernetes.keep", "kubernetes.namespace")
    assert found.targets[0].resources == {"timeout": "1h"}


def test_a_connection_of_its_own_takes_nothing_of_a_target(stacks):
    (found,) = targets(stacks, conn_id="mine", target="laptop").targets
    assert (found.conn_id, found.settings.namespace, found.settings.keep) == ("mine", "default", "on_failure")


def test_no_cluster_is_refused_with_the_way_out(stacks):
    with pytest.raises(InvalidStep, match=r"(?s)`laptop`.*runs on local.*conn_id="):
        targets(stacks, target="laptop")


def test_no_stack_can_name_the_operators_backend():
    assert "kubernetes_resource" not in backend_names()
    assert "kubernetes_resource" not in InstalledSettings()
    assert backend_class("kubernetes_resource").name == "kubernetes_resource"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"manifest": {}}, "bring a dict", id="no manifest"),
        pytest.param({"manifest": JOB, "keep": "sometimes"}, "on_failure", id="an unknown word"),
        pytest.param({"manifest": JOB, "success": ["Complete=True"]}, "failure=", id="half of its ends"),
    ],
)
def test_what_is_wrong_is_refused_while_the_dag_is_parsed(fields, words):
    with pytest.raises(InvalidStep, match=words):
        MlxKubernetesResourceOperator(task_id="task", **fields)


def rendered(manifest, folder, **context):
    from airflow.sdk import DAG

    with DAG("dag", schedule=None, template_searchpath=[str(folder)]) as dag:
        task = MlxKubernetesResourceOperator(task_id="task", manifest=manifest)
    dag.resolve_template_files()
    task.render_template_fields({**context, "dag": dag, "task": task})
    return parse_manifest(task.manifest)


@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize("suffix", ["yaml", "yml", "j2"])
def test_a_file_is_a_template(tmp_path, suffix, ending):
    (tmp_path / f"job.{suffix}").write_text("apiVersion: batch/v1\nkind: Job\nspec:\n  {{ what }}: of.yaml" + ending)
    assert rendered(f"job.{suffix}", tmp_path, what="words") == {**JOB, "spec": {"words": "of.yaml"}}


def test_a_file_name_inside_a_dict_is_a_text(tmp_path):
    found = rendered({**JOB, "spec": {"args": ["{{ what }}", "config.yaml"]}}, tmp_path, what="--with")
    assert found["spec"] == {"args": ["--with", "config.yaml"]}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param({"images": ("registry/*",)}, "the image `evil:1` is not allowed", id="an image"),
        pytest.param({"service_accounts": ("jobs",)}, "the service account `admin` is not allowed", id="an account"),
        pytest.param({"max_gpu": 3}, "4 GPUs are asked for", id="GPUs"),
        pytest.param({"max_nodes": 1}, "2 nodes are asked for", id="pods"),
        pytest.param({"overrides": ()}, "overriding `kubernetes.namespace` is not allowed", id="an override"),
    ],
)
def test_the_policy_sees_into_a_manifest(stacks, rule, words):
    container = {"image": "evil:1", "resources": {"limits": {"nvidia.com/gpu": 2}}}
    pod = {"serviceAccountName": "admin", "containers": [container]}
    planner = Planner(
        definition=StepDefinition(manifest={**JOB, "metadata": {}, "spec": {"parallelism": 2, "template": {"spec": pod}}}),
        identity=TaskInstanceIdentity("lab", "dag", "run", "task"), resolved=targets(stacks, namespace="mine"),
        options=PlanningOptions(deployment_id="lab", policy=[PolicyRule("one.*", "p.yaml", "p.yaml:1", **rule)]),
        store=ObjectStore(),
    )  # fmt: skip
    with pytest.raises(InvalidStep) as refused:
        planner.plan(1)
    assert [words in str(problem) for problem in refused.value.problems] == [True]
