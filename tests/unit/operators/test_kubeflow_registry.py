"""Versions of pipelines and recurring runs on a server: each made once, whatever happens to the answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_mlx.backends.kubeflow_pipelines import transport
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, JobConflict
from airflow_provider_mlx.operators import kubeflow_schedules
from airflow_provider_mlx.operators.kubeflow_registry import (
    KubeflowPipelinesRecurringRunOperator,
    KubeflowPipelinesUploadOperator,
)
from airflow_provider_mlx.operators.kubeflow_schedules import Times, six_fields, trigger_of
from tests.unit.backends.kubeflow_pipelines.schema import check_wire
from tests.unit.operators.kubeflow import COMPILED, CONN_ID, PIPELINE, TEXT, connected, heard, in_a_dag, server

__all__ = ["connected", "heard", "in_a_dag", "server"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(kubeflow_schedules, "SETTLE_SECONDS", (0.0,) * 4)
    monkeypatch.setattr(transport, "PAUSES", (0.0, 0.0))


@pytest.fixture
def upload(in_a_dag):
    return lambda **fields: in_a_dag(
        KubeflowPipelinesUploadOperator, **{"conn_id": CONN_ID, "pipeline": TEXT, **fields}
    )


@pytest.fixture
def recurring(in_a_dag):
    return lambda **fields: in_a_dag(
        KubeflowPipelinesRecurringRunOperator,
        **{"conn_id": CONN_ID, "name": "nightly", "pipeline": TEXT, "cron": "0 2 * * *", **fields},
    )


def changed(**info):
    return {**PIPELINE.spec, "pipelineInfo": {**PIPELINE.spec["pipelineInfo"], **info}}


# --- uploads ---------------------------------------------------------------------------------------------------------


def test_the_same_content_is_uploaded_once(upload, execute, server):
    first, again = (execute(upload()).result for _ in range(2))
    assert again == first
    assert first == {"pipeline_id": "p-0", "pipeline_version_id": "v-0", "version": first["version"]}
    assert first["version"].startswith("sha256-")
    assert list(server.pipelines) == ["train-gpu"]
    assert len(server.uploads) == 1
    other = execute(upload(pipeline=changed(description="another"))).result
    assert other["version"] != first["version"]
    assert other["pipeline_id"] == "p-0"


def test_it_has_the_names_that_it_is_given(upload, execute, server):
    made = execute(upload(pipeline_name="churn", version="v7", description="of March")).result
    assert (made["version"], list(server.pipelines)) == ("v7", ["churn"])
    (version,) = server.versions
    assert version["description"].startswith("of March mlx:")
    assert version["pipeline_spec"]["pipeline_spec"]["root"] == PIPELINE.spec["root"]


@pytest.mark.parametrize("fault", ["lost", 503, "cut"])
@pytest.mark.parametrize("nth", range(4), ids=["the pipeline", "it is made", "the version", "the upload"])
def test_whatever_answer_is_lost_there_is_one_pipeline_with_one_version(upload, execute, server, fault, nth):
    server.faults = [*[None] * nth, fault]
    made = execute(upload(version="v1")).result
    assert (len(server.pipelines), [one["name"] for one in server.versions]) == (1, ["v1"])
    assert made["pipeline_version_id"] == server.versions[0]["pipeline_version_id"]


def test_a_server_that_does_not_answer_is_for_the_next_try(upload, execute, server):
    server.faults = [503] * 100
    with pytest.raises(BackendUnavailable) as failed:
        execute(upload())
    assert not isinstance(failed.value, AirflowFailException)
    server.faults = []
    execute(upload())
    assert len(server.versions) == 1


def test_another_content_under_a_name_that_is_taken_is_refused(upload, execute, server):
    execute(upload(version="v1"))
    with pytest.raises(JobConflict, match="version `v1` already, and its content is another one") as refused:
        execute(upload(version="v1", pipeline=changed(description="another")))
    assert isinstance(refused.value, AirflowFailException)
    assert len(server.uploads) == 1


def test_the_same_content_that_somebody_else_has_uploaded_is_taken(upload, execute, server):
    server.register("churn", "v1")
    assert execute(upload(pipeline_name="churn", version="v1")).result["pipeline_version_id"] == "id-v1"
    assert server.uploads == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"pipeline": "none.yaml"}, "there is no file `none.yaml`", id="no file"),
        pytest.param({"pipeline": "a: 1\nb: 2"}, "its schema is not said", id="no pipeline"),
        pytest.param({"pipeline": "", }, "there is none", id="nothing"),
    ],
)  # fmt: skip
def test_what_is_no_pipeline_is_not_sent(upload, execute, server, fields, words):
    with pytest.raises(InvalidStep, match=words):
        execute(upload(**fields))
    assert server.asked == []


# --- recurring runs: what is asked -----------------------------------------------------------------------------------


def test_it_is_made_once_and_stays(recurring, execute, server):
    done = execute(recurring(parameters={"lr": 0.1}, max_concurrency="2", service_account="runner")).result
    assert done == {"recurring_run_id": "r-0", "state": "enabled"}
    assert execute(recurring(parameters={"lr": 0.1}, max_concurrency=2, service_account="runner")).result == done
    ((_, made),) = server.recurring.items()
    body = {name: value for name, value in made.items() if name not in ("recurring_run_id", "status")}
    check_wire("v2beta1RecurringRun", body)
    assert (body["max_concurrency"], body["no_catchup"], body["mode"]) == ("2", True, "ENABLE")
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert body["runtime_config"] == {"parameters": {"lr": 0.1}}
    assert body["experiment_id"] == "e-0"


def test_a_registered_pipeline_is_named_by_the_version_that_was_checked(recurring, execute, server):
    server.register("churn", "v1", "v2")
    execute(recurring(pipeline=None, pipeline_name="churn"))
    (made,) = server.recurring.values()
    assert made["pipeline_version_reference"] == {"pipeline_id": "p-0", "pipeline_version_id": "id-v2"}
    execute(recurring(pipeline=None, pipeline_name="churn", version="v1"))
    (made,) = server.recurring.values()
    assert made["pipeline_version_reference"]["pipeline_version_id"] == "id-v1"


@pytest.mark.parametrize(
    ("times", "trigger"),
    [
        pytest.param({"cron": "0 8 * * 1-5"}, {"cron_schedule": {"cron": "0 0 8 * * 1-5"}}, id="five fields get seconds"),
        pytest.param({"cron": "30 0 8 * * *"}, {"cron_schedule": {"cron": "30 0 8 * * *"}}, id="six fields have them"),
        pytest.param({"cron": "@daily"}, {"cron_schedule": {"cron": "@daily"}}, id="a word"),
        pytest.param({"interval": "6h"}, {"periodic_schedule": {"interval_second": "21600"}}, id="an interval"),
        pytest.param(
            {"interval": "1d", "start": "2026-11-23T08:00:00+01:00", "end": "2026-12-01T00:00:00Z"},
            {"periodic_schedule": {"interval_second": "86400", "start_time": "2026-11-23T07:00:00Z", "end_time": "2026-12-01T00:00:00Z"}},
            id="between two times",
        ),
    ],
)  # fmt: skip
def test_when_runs_start(times, trigger):
    assert trigger_of(Times(**times)) == (trigger, [])
    check_wire("v2beta1Trigger", trigger)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        pytest.param({"cron": "0 8 * *"}, "has another number of fields", id="four fields"),
        pytest.param({"cron": "@sometimes"}, "has another number of fields", id="no such word"),
        pytest.param({"interval": "often"}, "`often` is not a duration", id="no duration"),
        pytest.param({"interval": "0.5s"}, "not of whole seconds", id="half a second"),
        pytest.param({"interval": "1h", "start": "tomorrow"}, "is no time", id="no time"),
        pytest.param({"interval": "1h", "end": "2026-11-23T08:00:00"}, "has no time zone", id="no time zone"),
        pytest.param(
            {"interval": "1h", "start": "2026-11-23T08:00:00Z", "end": "2026-11-23T08:00:00Z"}, "not after `start`",
            id="an end before the start",
        ),
    ],
)  # fmt: skip
def test_what_is_no_time_to_start_is_said(times, words):
    _, problems = trigger_of(Times(**times))
    assert words in "; ".join(map(str, problems))


def test_a_cron_of_four_fields_is_none():
    assert six_fields("* * * *") is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"name": ""}, "give a name", id="no name"),
        pytest.param({"state": "paused"}, "say one of enabled, disabled, absent", id="no such state"),
        pytest.param({"pipeline_name": "churn"}, "give `pipeline=` or `pipeline_name=`", id="two pipelines"),
        pytest.param({"interval": "6h"}, "give `cron=` or `interval=`", id="two times"),
        pytest.param({"cron": None}, "give `cron=` or `interval=`", id="no time"),
    ],
)
def test_what_is_wrong_is_refused_while_the_dag_is_parsed(recurring, fields, words):
    with pytest.raises(InvalidStep, match=words):
        recurring(**fields)


def test_everything_that_is_wrong_is_said_before_anything_is_made(recurring, execute, server, monkeypatch):
    from airflow_provider_mlx.operators import masked

    monkeypatch.setattr(masked, "is_masked", lambda value: "s3cret" in str(value))
    task = recurring(
        parameters={"lrr": 1}, cron=None, interval="often", start="now", max_concurrency=11, description="s3cret"
    )
    with pytest.raises(InvalidStep) as refused:
        execute(task)
    for words in (
        "no parameter `lrr`",
        "not a duration",
        "is no time",
        "from 1 to 10",
        "description: its value is a secret",
    ):
        assert words in str(refused.value)
    assert server.calls("POST") == []


def test_a_pipeline_that_is_not_registered_starts_nothing(recurring, execute, server):
    with pytest.raises(InvalidStep, match="the server does not know it"):
        execute(recurring(pipeline=None, pipeline_name="nobody"))
    server.register("churn", "v1")
    with pytest.raises(InvalidStep, match="it has v1"):
        execute(recurring(pipeline=None, pipeline_name="churn", version="v9"))
    assert server.calls("POST") == []


# --- recurring runs: how the server is brought there -----------------------------------------------------------------


def statuses(server):
    return {key: one["status"] for key, one in server.recurring.items()}


def test_it_is_switched_off_and_on_and_removed(recurring, execute, server):
    execute(recurring())
    assert execute(recurring(state="disabled")).result == {"recurring_run_id": "r-0", "state": "disabled"}
    assert statuses(server) == {"r-0": "DISABLED"}
    execute(recurring())
    assert statuses(server) == {"r-0": "ENABLED"}
    gone = {"recurring_run_id": None, "state": "absent"}
    assert execute(recurring(state="absent", pipeline=None, cron=None)).result == gone
    assert execute(recurring(state="absent", pipeline=None, cron=None)).result == gone
    assert server.recurring == {}


def test_one_that_was_made_from_something_else_is_replaced_and_the_two_never_start_runs_together(
    recurring, execute, server
):
    execute(recurring())
    server.asked.clear()
    assert execute(recurring(cron="0 3 * * *")).result["recurring_run_id"] == "r-1"
    changes = [call for call in server.calls() if not call.startswith("GET")]
    base = "/apis/v2beta1/recurringruns"
    assert changes == [f"POST {base}", f"DELETE {base}/r-0", f"POST {base}/r-1:enable"]
    made = next(one.body for one in server.asked if one.method == "POST")
    assert made["mode"] == "DISABLE"
    assert statuses(server) == {"r-1": "ENABLED"}


def test_a_creation_whose_answer_is_lost_is_found(recurring, execute, server):
    server.experiments["Default"] = "e-0"
    server.faults = [None, None, "lost"]  # the experiment, those that are there, and the creation
    assert execute(recurring()).result["recurring_run_id"] == "r-0"
    assert statuses(server) == {"r-0": "ENABLED"}


@pytest.mark.parametrize("fault", ["cut", 503])
def test_a_creation_of_which_nothing_is_known_is_for_the_next_try(recurring, execute, server, fault):
    server.experiments["Default"] = "e-0"
    server.faults = [None, None, fault]
    with pytest.raises(BackendUnavailable, match="not known whether the recurring run `nightly` was made"):
        execute(recurring())
    assert server.recurring == {}
    execute(recurring())
    assert statuses(server) == {"r-0": "ENABLED"}


def test_two_of_the_same_become_one(recurring, execute, server):
    execute(recurring())
    server.recurring["r-1"] = {**server.recurring["r-0"], "recurring_run_id": "r-1"}
    assert execute(recurring()).result["recurring_run_id"] == "r-0"
    assert list(server.recurring) == ["r-0"]


@pytest.mark.parametrize("state", ["enabled", "absent"])
def test_one_that_no_task_has_made_is_not_touched(recurring, execute, server, state):
    server.recurring["r-9"] = {"display_name": "nightly", "recurring_run_id": "r-9", "description": "mine"}
    with pytest.raises(JobConflict, match=r"`nightly` \(r-9\) that no task has made"):
        execute(recurring(state=state))
    assert list(server.recurring) == ["r-9"]


# --- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KubeflowPipelinesUploadOperator, KubeflowPipelinesRecurringRunOperator])
def test_all_fields_are_templates_but_those_that_decide_before(kind):
    fields = set(kind.__init__.__annotations__) - {"kwargs", "return"}
    assert fields - set(kind.template_fields) == {"include", "sdk_packages", "pipeline_conn_id"} | (
        {"no_catchup"} if kind is KubeflowPipelinesRecurringRunOperator else set()
    )


def test_a_dag_with_both_is_stored_and_read_by_airflow():
    with DAG("dag", schedule=None) as dag:
        uploaded = KubeflowPipelinesUploadOperator(task_id="upload", pipeline=dict(PIPELINE.spec))
        KubeflowPipelinesRecurringRunOperator(
            task_id="nightly", name="nightly", pipeline_name="churn", version=uploaded.output["version"],
            interval=timedelta(hours=6), start=datetime(2026, 11, 23, tzinfo=UTC),
        )  # fmt: skip
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    read = DagSerialization.from_dict(stored)
    assert read.get_task("nightly").upstream_task_ids == {"upload"}
    fields = {one["__var"]["task_id"]: one["__var"] for one in stored["dag"]["tasks"]}
    assert (fields["nightly"]["interval"], fields["nightly"]["start"]) == ("21600.0s", "2026-11-23T00:00:00+00:00")


def test_a_compiled_pipeline_is_no_template_though_its_field_is(upload, recurring):
    for task in (upload(), recurring()):
        task.render_template_fields({"dag": task.dag, "task": task})
        assert task.pipeline == TEXT == COMPILED.read_text()


def test_a_connection_that_is_not_there_is_airflows_error(upload, execute):
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    with pytest.raises(AirflowNotFoundException):
        execute(upload(conn_id="nowhere"))
