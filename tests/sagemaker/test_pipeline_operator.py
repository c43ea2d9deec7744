"""``MlxSageMakerPipelineOperator`` on the tests' endpoint of AWS: the promises of a step, for pipelines that are there."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseHook, TaskDeferred

from airflow_provider_mlx import MlxSageMakerPipelineOperator
from airflow_provider_mlx.exceptions import (
    InvalidStep,
    JobCancelled,
    JobConflict,
    JobMisconfigured,
    JobTimeout,
    StepFailed,
)
from airflow_provider_mlx.lineage.operator_facets import on_complete
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.triggers.job import stop_job
from airflow_provider_mlx.triggers.order import WatchOrder
from tests.aws.waiting import until
from tests.docs.snippets import ROOT
from tests.e2e.harness import EXAMPLES, Home
from tests.kubernetes.test_examples import OwnEnvironment
from tests.unit.lineage.conftest import events_file, events_in, use_transport

from .conftest import CONN_ID, first_event

__all__ = ["events_file", "use_transport"]

GUIDE = ROOT / "docs" / "guides" / "sagemaker-pipelines.md"
SLOW = {"Word": "slow", "Seconds": 60}


@pytest.fixture
def operator(in_a_dag):
    """Makes the operator's task, which waits in its slot unless a test says otherwise."""

    def make(pipeline, **fields):
        said = {"conn_id": CONN_ID, "deferrable": False, "parameters": {"Word": "hello"}, **fields}
        return in_a_dag(MlxSageMakerPipelineOperator, pipeline=pipeline, **said)

    return make


@pytest.fixture
def client(endpoint):
    return endpoint.client("sagemaker")


@pytest.fixture
def executions(client):
    """The executions of a pipeline, the oldest first, as SageMaker describes them."""

    def found(name):
        listed = client.list_pipeline_executions(PipelineName=name, SortOrder="Ascending")["PipelineExecutionSummaries"]
        arns = [one["PipelineExecutionArn"] for one in listed]
        return [client.describe_pipeline_execution(PipelineExecutionArn=arn) for arn in arns]

    return found


def states(found):
    return [one["PipelineExecutionStatus"] for one in found]


@pytest.fixture
def runs(client, executions):
    """Whether the job of the pipeline's first step runs."""

    def look(name):
        for one in executions(name):
            arn = one["PipelineExecutionArn"]
            steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
            if any("Metadata" in step for step in steps):
                return True
        return False

    return look


# --- success ---------------------------------------------------------------------------------------------------------


def test_what_the_steps_made_is_the_result(endpoint, operator, execute, pipeline, executions, heard, connected):
    name = pipeline()
    task = operator(name, parameters={"Word": "bonjour", "Rate": 0.25}, description="from the tests")
    ti = execute(task)
    (ran,) = executions(name)
    steps = ti.result["steps"]
    model = f"s3://artifacts/out/{steps['Train']['arn'].rpartition('/')[2]}/output/model.tar.gz"
    assert ti.result["execution"] == ran["PipelineExecutionArn"]
    assert steps["Prepare"]["outputs"] == {"out": f"s3://artifacts/{name}/out"}
    assert (steps["Train"]["model"], steps["Train"]["status"]) == (model, "Succeeded")
    assert ran["PipelineExecutionDisplayName"].startswith("mlx-dag")
    assert ran["PipelineExecutionDescription"].startswith("from the tests mlx:")
    assert [line.partition(" after ")[0] for line in heard if line.startswith("step `Prepare`")] == [
        f"step `Prepare` (Processing) executes: {steps['Prepare']['arn'].rpartition('/')[2]}",
        "step `Prepare` (Processing) succeeded",
    ]
    assert "mlx_job_link" in ti.pushed

    written = json.loads(next((connected / "mlx").rglob("result.json")).read_text())["datasets"]
    assert [one["uri"] for one in written["written"]] == sorted([f"s3://artifacts/{name}/out", model])
    read = [one["uri"] for one in written["read"]]
    assert f"s3://artifacts/{name}/out" not in read, "what one step writes and another reads comes from nowhere else"
    assert all(uri.startswith("s3://artifacts/scripts/") for uri in read)
    outputs = on_complete(task, ti).outputs
    assert {(one.namespace, one.name) for one in outputs} == {
        ("s3://artifacts", f"{name}/out"), ("s3://artifacts", model.removeprefix("s3://artifacts/")),
    }  # fmt: skip


def test_every_step_is_a_run_below_the_execution_in_the_lineage(operator, execute, pipeline, events_file):
    name = pipeline()
    execute(operator(name))
    events = events_in(events_file)
    whole, steps = events[-1], sorted(events[1:-1], key=lambda event: (event["job"]["name"], event["eventTime"]))
    assert [event["eventType"] for event in (events[0], *steps, whole)] == [
        "START", "START", "COMPLETE", "START", "COMPLETE", "COMPLETE",
    ]  # fmt: skip
    _, prepare, _, train = steps
    assert whole["job"]["name"].endswith(f".task.{name}")
    assert [step["job"]["name"].removeprefix(whole["job"]["name"]) for step in (prepare, train)] == [
        ".Prepare",
        ".Train",
    ]
    for step in (prepare, train):
        parent = step["run"]["facets"]["parent"]
        assert (parent["run"]["runId"], parent["job"]["name"]) == (whole["run"]["runId"], whole["job"]["name"])
    made = {(one["namespace"], one["name"]) for one in prepare["outputs"]}
    assert made and made <= {(one["namespace"], one["name"]) for one in train["inputs"]}, "one graph"
    assert {one["name"] for one in train["outputs"]} <= {one["name"] for one in whole["outputs"]}


def test_steps_of_an_execution_that_failed_are_told_too(operator, execute, pipeline, events_file):
    with pytest.raises(StepFailed):
        execute(operator(pipeline(), parameters={"Word": "wrong"}))
    types = [(event["eventType"], event["job"]["name"].rpartition(".")[2]) for event in events_in(events_file)]
    assert ("FAIL", "Prepare") in types
    assert types[-1][0] == "FAIL" and len(types) == 4


def test_by_an_arn_no_region_is_needed(operator, execute, pipeline, client, monkeypatch, endpoint):
    connection = endpoint.connection()
    del connection["extra"]["region_name"]
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    arn = client.describe_pipeline(PipelineName=pipeline())["PipelineArn"]
    assert execute(operator(arn)).result["pipeline"] == arn


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_failure_says_which_step_and_why(operator, execute, pipeline, executions, heard):
    name = pipeline()
    with pytest.raises(StepFailed) as failed:
        execute(operator(name, parameters={"Word": "wrong"}))
    said = str(failed.value)
    assert said.startswith("step `Prepare` (Processing) failed: ClientError: AlgorithmError: See job logs")
    assert "processing-job/pipelines-" in said, "the failing job's ARN"
    assert "#/processing-jobs/pipelines-" in said, "its page"
    assert "  | this is what went wrong" in said, "the end of its log"
    assert "  | this is what went wrong" in heard
    assert not isinstance(failed.value, AirflowFailException), "Airflow's retries decide"
    assert states(executions(name)) == ["Failed"]


def test_a_retry_after_a_failure_starts_a_new_execution(operator, execute, pipeline, executions):
    name = pipeline()
    with pytest.raises(StepFailed):
        execute(operator(name, parameters={"Word": "wrong"}, retries=1))
    assert execute(operator(name, retries=1), try_number=2).result["status"] == "Succeeded"
    assert states(executions(name)) == ["Failed", "Succeeded"]


def test_stopped_is_never_green(operator, execute, pipeline, client, executions, runs):
    name = pipeline()

    def stop():
        until(lambda: runs(name), 30)
        arn = executions(name)[0]["PipelineExecutionArn"]
        client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="somebody-in-the-console-stops-it")

    somebody = threading.Thread(target=stop)
    somebody.start()
    with pytest.raises(JobCancelled, match="was stopped"):
        execute(operator(name, parameters=SLOW))
    somebody.join()


def test_all_wrong_parameters_are_said_at_once_and_nothing_starts(operator, execute, pipeline, executions):
    name = pipeline()
    with pytest.raises(InvalidStep) as refused:
        execute(operator(name, parameters={"Wrod": "x", "Seconds": "soon", "Rate": 0.3}))
    said = str(refused.value)
    for words in (
        "has no parameter `Wrod` → did you mean `Word`?",
        "`Word` (String) has no default",
        "parameters['Seconds']: 'soon' is no Integer",
        "'0.3' is none of the values that the pipeline allows → use one of `0.5`, `0.25`",
    ):
        assert words in said
    assert isinstance(refused.value, AirflowFailException), "the same again cannot help"
    assert executions(name) == []


def test_an_unknown_pipeline(operator, execute, endpoint):
    with pytest.raises(AirflowException, match="there is no pipeline `nobodys` in eu-central-1"):
        execute(operator("nobodys"))


def test_a_secret_that_airflow_masks_is_no_parameter(operator, execute, pipeline, executions):
    from airflow.sdk.log import mask_secret

    mask_secret("hunter2-of-the-pipelines")
    name = pipeline()
    with pytest.raises(InvalidStep, match="Secrets Manager"):
        execute(operator(name, parameters={"Word": "hunter2-of-the-pipelines"}))
    assert executions(name) == []


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_kill_stops_the_execution(operator, execute, pipeline, executions, runs):
    name = pipeline()
    task = operator(name, parameters=SLOW)
    ended: list[BaseException] = []

    def run():
        try:
            execute(task)
        except BaseException as error:
            ended.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    until(lambda: runs(name), 30)
    task.on_kill()
    worker.join(30)
    assert isinstance(ended[0], JobCancelled)
    until(lambda: states(executions(name)) == ["Stopped"], 30)


def test_a_deadline_stops_the_execution(operator, execute, pipeline, executions):
    name = pipeline()
    with pytest.raises(JobTimeout):
        execute(operator(name, parameters=SLOW, max_runtime="4s"))
    assert states(executions(name)) == ["Stopped"]


def test_a_clear_stops_the_old_execution_and_starts_a_new_one(operator, execute, pipeline, executions):
    name = pipeline()
    deferred(execute, operator(name, parameters=SLOW, deferrable=True))
    assert execute(operator(name), max_tries=1, try_number=2).result["status"] == "Succeeded"
    assert states(executions(name)) == ["Stopped", "Succeeded"]


# --- once and only once ----------------------------------------------------------------------------------------------


def deferred(execute, task, **facts):
    """The trigger of a task that left its slot."""
    with pytest.raises(TaskDeferred) as left:
        execute(task, **facts)
    return left.value.trigger


def test_a_retry_adopts_the_execution_that_runs(operator, execute, pipeline, executions, heard):
    name = pipeline()
    parameters = {"Word": "once", "Seconds": 10}
    deferred(execute, operator(name, parameters=parameters, deferrable=True, retries=1))
    assert execute(operator(name, parameters=parameters, retries=1), try_number=2).result["status"] == "Succeeded"
    assert states(executions(name)) == ["Succeeded"]
    assert any(line.startswith("mlx: adopted") for line in heard)


def test_finished_while_nobody_looked_is_collected_not_run_again(operator, execute, pipeline, executions):
    name = pipeline()
    parameters = {"Word": "once", "Seconds": 8}
    deferred(execute, operator(name, parameters=parameters, deferrable=True, retries=1))
    until(lambda: states(executions(name)) == ["Succeeded"], 30)
    assert execute(operator(name, parameters=parameters, retries=1), try_number=2).result["status"] == "Succeeded"
    assert len(executions(name)) == 1


def test_a_lost_answer_is_found_again(endpoint, operator, execute, pipeline, executions):
    name = pipeline()
    fault = endpoint.faults.add("StartPipelineExecution", "lost_response", times=3)
    assert execute(operator(name, display_name="nightly")).result["status"] == "Succeeded"
    assert fault.met == 3
    (ran,) = executions(name)
    assert ran["PipelineExecutionDisplayName"].startswith("nightly-a")


def test_an_execution_whose_worker_died_before_it_knew_is_adopted(
    endpoint, operator, execute, pipeline, executions, connected
):
    name = pipeline()
    parameters = {"Word": "once", "Seconds": 8}
    deferred(execute, operator(name, parameters=parameters, deferrable=True, retries=1))
    next((connected / "mlx").rglob("handle.json")).unlink()
    starts = len(endpoint.calls.of("StartPipelineExecution"))
    assert execute(operator(name, parameters=parameters, retries=1), try_number=2).result["status"] == "Succeeded"
    assert len(executions(name)) == 1
    assert len(endpoint.calls.of("StartPipelineExecution")) == starts, "it was found by its display name"


def test_throttling_fails_nothing(endpoint, operator, execute, pipeline, executions):
    name = pipeline()
    fault = endpoint.faults.add("*Pipeline*", "throttle", seconds=10)
    assert execute(operator(name)).result["status"] == "Succeeded"
    assert fault.met > 1
    assert states(executions(name)) == ["Succeeded"]


def test_an_execution_of_somebody_else_under_our_name_is_neither_adopted_nor_stopped(
    operator, execute, pipeline, client, executions
):
    name = pipeline()
    task = operator(name)
    job = TaskInstanceIdentity("tests", task.dag_id, "run", task.task_id).job_name(1)
    client.start_pipeline_execution(
        PipelineName=name, PipelineExecutionDisplayName=f"mlx-{job}", PipelineExecutionDescription="somebody's",
        PipelineParameters=[{"Name": "Word", "Value": "theirs"}],
    )  # fmt: skip
    with pytest.raises(JobConflict, match="made from another request"):
        execute(task)
    until(lambda: states(executions(name)) == ["Succeeded"], 30)


def test_what_the_pipeline_takes_now_does_not_matter_to_an_execution_that_runs(
    operator, execute, pipeline, client, executions, connected
):
    name = pipeline()
    parameters = {"Word": "once", "Seconds": 9}
    deferred(execute, operator(name, parameters=parameters, deferrable=True, retries=1))
    next((connected / "mlx").rglob("handle.json")).unlink()
    definition = json.loads(client.describe_pipeline(PipelineName=name)["PipelineDefinition"])
    definition["Parameters"].append({"Name": "New", "Type": "String"})
    client.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition))
    assert execute(operator(name, parameters=parameters, retries=1), try_number=2).result["status"] == "Succeeded"
    assert len(executions(name)) == 1


# --- rights ----------------------------------------------------------------------------------------------------------


def policy_of_the_guide(endpoint):
    """The policy that the guide shows, for the tests' account and region."""
    text = GUIDE.read_text(encoding="utf-8").partition("<!-- pipeline-policy -->")[2]
    return json.loads(text.split("```")[1].removeprefix("json").replace("111122223333", endpoint.account))


@pytest.fixture
def as_the_guide_says(endpoint, connected, monkeypatch):
    """The connection has the rights that the guide shows, and no others."""
    role = f"arn:aws:iam::{endpoint.account}:role/airflow-pipelines"
    endpoint.put_role_policy(role, policy_of_the_guide(endpoint))
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection(role_arn=role)))


@pytest.mark.usefixtures("as_the_guide_says")
class TestWithTheRightsOfTheGuide:
    def test_it_succeeds_and_says_what_was_made(self, operator, execute, pipeline):
        assert "model" in execute(operator(pipeline())).result["steps"]["Train"]

    def test_it_says_why_a_step_failed(self, operator, execute, pipeline):
        with pytest.raises(StepFailed, match="this is what went wrong"):
            execute(operator(pipeline(), parameters={"Word": "wrong"}))

    def test_it_stops(self, operator, execute, pipeline, executions):
        name = pipeline()
        with pytest.raises(JobTimeout):
            execute(operator(name, parameters=SLOW, max_runtime="2s"))
        assert states(executions(name)) == ["Stopped"]


def test_a_right_that_is_missing_is_named(endpoint, operator, execute, pipeline, connected, monkeypatch):
    role = f"arn:aws:iam::{endpoint.account}:role/airflow-without-start"
    policy = policy_of_the_guide(endpoint)
    policy["Statement"][0]["Action"].remove("sagemaker:StartPipelineExecution")
    endpoint.put_role_policy(role, policy)
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection(role_arn=role)))
    with pytest.raises(JobMisconfigured, match=r'may not do sagemaker:StartPipelineExecution on "?arn:aws:'):
        execute(operator(pipeline()))


# --- in the triggerer ------------------------------------------------------------------------------------------------


def test_the_triggerer_watches_it(operator, execute, pipeline, heard):
    task = operator(pipeline(), parameters={"Word": "later", "Seconds": 12}, deferrable=True)
    trigger = deferred(execute, task)
    event = asyncio.run(first_event(trigger))
    assert event["word"] == "finished"
    task.execute = lambda context: task.execute_complete(context, event)
    assert execute(task).result["status"] == "Succeeded"
    assert sum(line.startswith("step `Train` (Training) succeeded") for line in heard) == 1


def test_a_kill_while_it_is_deferred_stops_it(operator, execute, pipeline, executions):
    name = pipeline()
    trigger = deferred(execute, operator(name, parameters=SLOW, deferrable=True))
    assert stop_job(WatchOrder.from_wire(trigger.order), BaseHook.get_connection, "the task is failed")
    until(lambda: states(executions(name)) == ["Stopped"], 30)
    assert not stop_job(WatchOrder.from_wire(trigger.order), BaseHook.get_connection, "the task is failed")


def test_the_triggerers_deadline_stops_it(operator, execute, pipeline, executions):
    name = pipeline()
    task = operator(name, parameters=SLOW, deferrable=True, max_runtime="9s")
    event = asyncio.run(first_event(deferred(execute, task)))
    assert event["word"] == "timed out"
    task.execute = lambda context: task.execute_complete(context, event)
    with pytest.raises(JobTimeout):
        execute(task)
    assert states(executions(name)) == ["Stopped"]


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_under_a_real_airflow(endpoint, pipeline, executions, tmp_path):
    """Without a stack file: its connection is all that it needs."""
    parameters = [
        {"Name": "Day", "Type": "String"},
        {"Name": "Epochs", "Type": "Integer"},
        {"Name": "Word", "Type": "String", "DefaultValue": "hello"},
        {"Name": "Seconds", "Type": "Integer", "DefaultValue": 0},
    ]
    name = pipeline("churn-training", Parameters=parameters)
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(EXAMPLES / "on_sagemaker" / "pipeline.py", dags)
    env = {"AIRFLOW_CONN_AWS_ML": json.dumps(endpoint.connection()), "AIRFLOW__MLX__DEPLOYMENT_ID": "tests"}
    home = Home(OwnEnvironment(), tmp_path / "home", dags, local_root=None, env=env).migrate()
    done, run = home.dags_test("pipeline")
    assert done.code == 0, done.tail()
    assert run.states() == {"train": "success", "report": "success"}, run.tail()
    (ran,) = executions(name)
    made = run.xcom("train")
    assert made["execution"] == ran["PipelineExecutionArn"]
    assert run.xcom("report") == [made["steps"]["Train"]["model"]]
    assert "step `Train` (Training) succeeded" in run.log
