"""``MlxKubernetesResourceOperator`` on a real cluster: the promises of a step, for what users bring."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_mlx import MlxStepOperator
from airflow_provider_mlx.exceptions import (
    ImageUnavailable,
    InvalidStep,
    JobCancelled,
    JobConflict,
    JobMisconfigured,
    JobTimeout,
    StepFailed,
)
from airflow_provider_mlx.operators.kubernetes_resource import MlxKubernetesResourceOperator
from tests.cluster.waiting import wait_until

from .conftest import CONN_ID, IMAGE, first_event, job, pod


@pytest.fixture
def operator(in_a_dag, namespace):
    """Makes the operator's task, which waits in its slot unless a test says otherwise."""

    def make(manifest, **fields):
        said = {"conn_id": CONN_ID, "namespace": namespace, "deferrable": False, **fields}
        return in_a_dag(MlxKubernetesResourceOperator, manifest=manifest, **said)

    return make


@pytest.fixture
def objects(cluster, namespace):
    """The objects of a resource that tests have made, by the step's task of this test."""

    def list_of(path="/apis/batch/v1", plural="jobs", *, of):
        found = cluster.api.get(f"{path}/namespaces/{namespace}/{plural}")["items"]
        return [one for one in found if of.dag_id in one["metadata"]["annotations"]["airflow-provider-mlx/identity"]]

    return list_of


SAYS = "printf %s '{}' > /dev/termination-log"


@pytest.mark.parametrize(
    ("script", "value"),
    [
        pytest.param(SAYS.format('{"rows": [1, null, 2.5]}'), {"rows": [1, None, 2.5]}, id="JSON is a value"),
        pytest.param(SAYS.format("s3://lake/table "), "s3://lake/table", id="anything else is text"),
        pytest.param(SAYS.format("NaN"), "NaN", id="what no database takes is text"),
        pytest.param("true", None, id="who says nothing returns nothing"),
    ],
)
def test_a_jobs_last_words_are_its_result(operator, execute, objects, script, value):
    task = operator(job(f"echo it ran; {script}"))
    assert execute(task).result == value
    assert objects(of=task.dag) == [], "a collected job is removed"


def test_a_command_step_has_the_same_result(in_a_dag, execute, namespace, connected):
    target = f"{{backend: kubernetes, conn_id: {CONN_ID}, namespace: {namespace}}}"
    (connected / "mlx_stacks.yaml").write_text(
        "default: one\nstacks:\n  one:\n"
        f"    artifacts: {{root: '{(connected / 'mlx').as_uri()}'}}\n    targets: {{default: {target}}}\n"
    )
    command = ["sh", "-c", SAYS.format('{"rows": 3}')]
    task = in_a_dag(MlxStepOperator, command=command, image=IMAGE, deferrable=False)
    assert execute(task).result == {"rows": 3}


def test_the_log_is_live_and_kept(operator, execute, objects, heard, connected):
    task = operator(job("echo line 1; sleep 6; echo line 2"))
    seen: list[bool] = []

    def look():
        wait_until("the first line is shown", lambda: "line 1" in heard)
        seen.append(bool(objects(of=task.dag)[0]["status"].get("active")))

    looking = threading.Thread(target=look)
    looking.start()
    execute(task)
    looking.join()
    assert seen == [True], "the job ran when its first line was shown"
    assert [line for line in heard if line.startswith("line ")] == ["line 1", "line 2"]
    assert next((connected / "mlx").rglob("log.txt")).read_text() == "line 1\nline 2\n"


def deferred(execute, task, **facts):
    """The trigger of a task that left its slot."""
    with pytest.raises(TaskDeferred) as left:
        execute(task, **facts)
    return left.value.trigger


def test_a_retry_adopts_the_job_that_runs(operator, execute, objects):
    manifest = job("sleep 12; " + SAYS.format("done"))
    deferred(execute, operator(manifest, deferrable=True, retries=1, keep="always"))
    task = operator(manifest, retries=1)
    before = objects(of=task.dag)
    assert execute(task, try_number=2).result == "done"
    assert [one["metadata"]["uid"] for one in objects(of=task.dag)] == [one["metadata"]["uid"] for one in before]
    assert len(before) == 1


def test_finished_while_nobody_looked_is_collected_not_run_again(operator, execute, objects):
    manifest = job("sleep 8; " + SAYS.format("once"))
    task = operator(manifest, deferrable=True, retries=1, keep="always")
    deferred(execute, task)
    wait_until("the job is over", lambda: objects(of=task.dag)[0]["status"].get("succeeded"))
    assert execute(operator(manifest, retries=1), try_number=2).result == "once"
    assert len(objects(of=task.dag)) == 1


def test_the_triggerer_watches_it_by_the_shared_watch(operator, execute):
    task = operator(job("sleep 9; " + SAYS.format("by the trigger")), deferrable=True)
    trigger = deferred(execute, task)

    event = asyncio.run(first_event(trigger))
    assert event["word"] == "finished"
    task.execute = lambda context: task.execute_complete(context, event)
    assert execute(task).result == "by the trigger"


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "error", "words"),
    [
        pytest.param(job("exit 7", spec={"backoffLimit": 0}), StepFailed, "exit status 7", id="an exit status"),
        pytest.param(
            job("true", "lab.local/none:1"), ImageUnavailable, "lab.local/none:1", id="an image that is not there"
        ),
        pytest.param(
            job("true", env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nobodys", "key": "a"}}}]),
            JobMisconfigured, 'secret "nobodys" not found', id="a secret that is not there",
        ),
        pytest.param(
            job("true", spec={"completions": "many"}), JobMisconfigured, "completions", id="what the API server refuses"
        ),
    ],
)  # fmt: skip
def test_a_failure_says_what_happened(operator, execute, manifest, error, words):
    with pytest.raises(AirflowException) as failed:
        execute(operator(manifest))
    assert isinstance(failed.value, error)
    assert words in str(failed.value)
    assert isinstance(failed.value, AirflowFailException) is (error is not StepFailed)


def test_a_deadline_stops_a_job_that_would_try_again(operator, execute, objects, cluster, namespace):
    task = operator(job("sleep 300", spec={"backoffLimit": 6}), max_runtime="4s")
    with pytest.raises(JobTimeout):
        execute(task)
    (stopped,) = objects(of=task.dag)
    assert stopped["spec"]["suspend"] is True
    pods = (
        f"/api/v1/namespaces/{namespace}/pods?labelSelector=batch.kubernetes.io/job-name={stopped['metadata']['name']}"
    )
    over = ("Succeeded", "Failed")
    wait_until("nothing runs", lambda: all(pod["status"]["phase"] in over for pod in cluster.api.get(pods)["items"]))


def test_a_kill_stops_the_job(operator, execute, objects):
    task = operator(job("sleep 300"))
    ended: list[BaseException] = []

    def run():
        try:
            execute(task)
        except BaseException as error:
            ended.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    wait_until("the job runs", lambda: any(one["status"].get("ready") for one in objects(of=task.dag)))
    task.on_kill()
    worker.join(30)
    assert isinstance(ended[0], JobCancelled)
    wait_until("nothing runs", lambda: not objects(of=task.dag)[0]["status"].get("active"))


def test_a_secret_that_airflow_masks_does_not_stand_in_a_manifest(operator, execute):
    from airflow.sdk.log import mask_secret

    mask_secret("hunter2-of-the-tests")
    with pytest.raises(InvalidStep, match="secretKeyRef"):
        execute(operator(job("echo hunter2-of-the-tests")))


# --- a name of its own -----------------------------------------------------------------------------------------------


def test_a_name_of_its_own_is_used_anew_by_the_next_attempt(operator, execute, objects):
    named = {"name": "nightly"}
    task = operator(job("exit 1", metadata=named, spec={"backoffLimit": 0}), retries=1)
    with pytest.raises(StepFailed):
        execute(task)
    (failed,) = objects(of=task.dag)
    again = operator(job(SAYS.format("better"), metadata=named), retries=1, keep="always")
    assert execute(again, try_number=2).result == "better"
    (done,) = objects(of=task.dag)
    assert (done["metadata"]["name"], failed["metadata"]["name"]) == ("nightly", "nightly")
    assert done["metadata"]["uid"] != failed["metadata"]["uid"]


def test_a_name_that_another_run_uses_is_a_conflict_neither_adopted_nor_deleted(operator, execute, objects):
    manifest = job("true", metadata={"name": "weekly"})
    task = operator(manifest, keep="always")
    execute(task, run_id="first")
    with pytest.raises(JobConflict, match="weekly"):
        execute(operator(manifest, keep="always"), run_id="second")
    assert len(objects(of=task.dag)) == 1


# --- other kinds -----------------------------------------------------------------------------------------------------


def jobset(script):
    template = {"spec": {"backoffLimit": 0, "template": {"spec": pod(script)}}}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "spec": {"replicatedJobs": [{"name": "workers", "replicas": 2, "template": template}]},
    }


@pytest.mark.usefixtures("trainer_cluster")
class TestWithJobSetAndTrainer:
    def test_a_jobset_succeeds_with_the_words_of_its_first_pod(self, operator, execute, heard):
        assert execute(operator(jobset("echo one of a set; " + SAYS.format("[1]")))).result == [1]
        assert "one of a set" in heard

    def test_a_jobset_fails_with_the_exit_status_of_its_pod(self, operator, execute):
        with pytest.raises(StepFailed, match="exit status 9"):
            execute(operator(jobset("exit 9")))

    def test_a_trainjob_succeeds_on_a_runtime_of_the_cluster(self, operator, execute, cluster, namespace):
        template = {"spec": {"backoffLimit": 0, "template": {"spec": pod("exit 1")}}}
        template["spec"]["template"]["spec"]["containers"][0]["name"] = "node"
        ancestor = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
        node = {"name": "node", "template": {"metadata": {"labels": ancestor}, **template}}
        cluster.api.apply({
            "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime",
            "metadata": {"name": "ours", "namespace": namespace, "labels": {"trainer.kubeflow.org/framework": "torch"}},
            "spec": {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": [node]}}},
        })  # fmt: skip
        trainer = {"image": IMAGE, "command": ["sh", "-c", SAYS.format('{"loss": 0.5}')], "numNodes": 2}
        manifest = {
            "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "spec": {"runtimeRef": {"name": "ours", "kind": "TrainingRuntime"}, "trainer": trainer},
        }  # fmt: skip
        # the webhook's cache may not have the runtime yet
        time.sleep(2)
        assert execute(operator(manifest)).result == {"loss": 0.5}
