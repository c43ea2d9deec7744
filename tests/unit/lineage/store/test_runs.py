"""What the page asks of runs: those of a DAG run, of a task instance, of a version, and our steps."""

from __future__ import annotations

import pytest

from tests.unit.lineage.store.conftest import OTHER, TOKEN, data, data_key, job_key, run_id, told

FIT = ("churn.train", 20)
EVENTS = [
    told("churn", 100, "COMPLETE", 50, dag="churn", dag_run="r1"),
    told("churn.prepare", 10, "COMPLETE", 10, parent=("churn", 100), dag="churn", dag_run="r1", task="prepare",
         outputs=[data("clean", "c1")]),
    told("churn.train", 20, "COMPLETE", 31, parent=("churn", 100), dag="churn", dag_run="r1", task="train",
         inputs=[data("clean", "c1")], outputs=[data("model", "m1")]),
    told("churn.train.fit", 21, "START", 20, parent=FIT, backend="kubernetes", inputs=[data("clean", "c1")]),
    told("churn.train.fit", 21, "COMPLETE", 30, parent=FIT, backend="kubernetes", inputs=[data("clean", "c1")],
         outputs=[data("model", "m1", kind="MODEL")],
         mlx_resources={"gpuSeconds": 1800, "image": "ml:1"}, mlx_cost={"amount": 2.5, "currency": "EUR", "estimated": True},
         ),
    told("churn.train.fit.epoch", 22, "COMPLETE", 25, parent=("churn.train.fit", 21), backend="kubernetes"),
    told("churn.each", 40, "COMPLETE", 41, parent=("churn", 100), dag="churn", dag_run="r1", task="each", map_index=0),
    told("churn.each", 41, "COMPLETE", 42, parent=("churn", 100), dag="churn", dag_run="r1", task="each", map_index=1,
         inputs=[data("model", "m1")]),
    told("payroll.pay", 60, "COMPLETE", 60, dag="payroll", dag_run="r1", task="pay", inputs=[data("model", "m1")],
         outputs=[data("salaries", "s1"), data("model", "m9")]),
    told("payroll.pay.sum", 61, "FAIL", 61, parent=("payroll.pay", 60), backend="sagemaker"),
]  # fmt: skip


@pytest.fixture
def ask(client):
    assert client.post("/api/v1/lineage/batch", json=EVENTS[::-1], headers=TOKEN).status_code == 200

    def asking(path, user="ann", **params):
        answer = client.get(f"/api/v1/{path}", params=params, headers={"X-User": user})
        return answer.json() if answer.status_code == 200 else answer.status_code

    return asking


def names(answer):
    return {node["name"] for node in answer["graph"]["nodes"]}


def test_a_dag_run_is_what_its_tasks_and_their_steps_have_read_and_written(ask):
    found = ask("at", dag_id="churn", run_id="r1")
    assert names(found) == {"churn", "churn.prepare", "churn.train", "churn.train.fit", "churn.train.fit.epoch",
                            "churn.each", "clean", "model"}  # fmt: skip
    assert [job_key("churn.train.fit"), data_key("model")] in found["graph"]["edges"]
    assert job_key("churn.train.fit.epoch") in found["focus"]
    assert found["runs"][job_key("churn.train.fit")] == run_id(21)


def test_a_task_instance_is_shown_with_who_wrote_what_it_reads_and_who_reads_what_it_wrote(ask):
    found = ask("at", dag_id="churn", run_id="r1", task_id="train")
    assert found["focus"] == sorted(map(job_key, ("churn.train", "churn.train.fit", "churn.train.fit.epoch")))
    assert names(found) == {"churn.train", "churn.train.fit", "churn.train.fit.epoch", "clean", "model",
                            "churn.prepare", "churn.each", ""}, "the other DAG's reader has no name"  # fmt: skip
    assert "salaries" in names(ask("at", "adm", dag_id="payroll", run_id="r1", task_id="pay"))


@pytest.mark.parametrize(("index", "run"), [(0, 40), (1, 41)])
def test_a_mapped_task_instance_is_the_one_that_is_meant(ask, index, run):
    found = ask("at", dag_id="churn", run_id="r1", task_id="each", map_index=index)
    assert found["runs"] == {job_key("churn.each"): run_id(run)}


@pytest.mark.parametrize("asked", [
    {"dag_id": "payroll", "run_id": "r1"}, {"dag_id": "churn", "run_id": "r2"},
    {"dag_id": "churn", "run_id": "r1", "task_id": "pay"}, {"dag_id": "churn", "run_id": "r1", "task_id": "each", "map_index": 7},
])  # fmt: skip
def test_of_a_run_that_is_not_known_or_not_readable_nothing_is_said(ask, asked):
    assert ask("at", **asked) == 404


def test_a_step_says_where_it_ran_how_long_and_what_it_cost(ask):
    steps = ask("steps")["steps"]
    assert [step["name"] for step in steps] == ["churn.train.fit.epoch", "churn.train.fit"], "the latest begun first"
    assert {name: value for name, value in steps[1].items() if name not in ("started", "ended")} == {
        "run": run_id(21), "job": job_key("churn.train.fit"), "name": "churn.train.fit", "dag": "churn", "task": "train",
        "dag_run": "r1", "map_index": None, "try": 2, "backend": "kubernetes", "state": "complete", "stack": "prod",
        "target": "gpu", "attempt": 1, "reason": None, "seconds": 10.0, "gpu_hours": 0.5,
        "cost": {"amount": 2.5, "currency": "EUR", "estimated": True}, "url": None, "image": "ml:1",
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "found"), [
    ({"state": "failed"}, {"payroll.pay.sum"}),
    ({"backend": "sagemaker"}, {"payroll.pay.sum"}),
    ({"dag_id": "churn"}, {"churn.train.fit", "churn.train.fit.epoch"}),
    ({"dag_id": "payroll", "run_id": "r1"}, {"payroll.pay.sum"}),
    ({"dag_id": "churn", "run_id": "r2"}, set()),
    ({"text": "EPOCH"}, {"churn.train.fit.epoch"}),
])  # fmt: skip
def test_steps_are_found_by_what_they_are(ask, asked, found):
    assert {step["name"] for step in ask("steps", "adm", **asked)["steps"]} == found


def test_steps_come_in_pages_that_end(ask):
    found, before = [], {}
    while True:
        page = ask("steps", "adm", limit=1, **before)
        found += [step["run"] for step in page["steps"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert found == [run_id(61), run_id(22), run_id(21)]


def test_a_runs_id_without_its_dag_is_refused_and_says_what_to_do(ask, client):
    answer = client.get("/api/v1/steps?run_id=r1", headers={"X-User": "ann"})
    assert (answer.status_code, "say `dag_id` too" in answer.json()["detail"]) == (422, True)


def test_steps_of_a_dag_that_a_user_may_not_read_are_not_there(ask):
    assert [step["name"] for step in ask("steps", "bob")["steps"]] == ["payroll.pay.sum"]
    assert ask("steps", "eve")["steps"] == ask("steps", "ann", dag_id="payroll")["steps"] == []


def test_versions_are_those_whose_writers_a_user_sees(ask):
    assert [one["version"] for one in ask(f"nodes/{data_key('model')}/versions", "adm")] == ["m9", "m1"]
    (seen,) = ask(f"nodes/{data_key('model')}/versions")
    assert (seen["version"], seen["run"]) == ("m1", run_id(21)), "by the step, not by Airflow's task around it"


def test_a_strangers_step_shows_nothing_of_a_run_that_is_not_its_own(ask, client):
    forged = told("mine", 90, "COMPLETE", 90, parent=("churn", 60), backend="spark")  # another DAG's run as its parent
    forged["job"]["namespace"] = "spark"
    assert client.post("/api/v1/lineage", json=forged, headers=OTHER).status_code == 201
    step = next(step for step in ask("steps")["steps"] if step["name"] == "mine")
    assert (step["dag"], step["dag_run"], step["task"]) == ("churn", None, None)


def test_about_says_what_the_store_is(ask):
    about = ask("about", "eve")
    assert about["events"] == len(EVENTS)
    assert about["database"] in ("sqlite", "postgresql")
    assert about["retention_days"] is None
