"""With the real OpenLineage provider and client: to a file, to a dead address, and to nothing."""

from __future__ import annotations

import json
import socket
import time
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.lineage import emitter, provider
from airflow_provider_mlx.lineage.events import ChildRun
from airflow_provider_mlx.lineage.names import RunName
from airflow_provider_mlx.lineage.root_spool import RootSpool
from airflow_provider_mlx.lineage.spool import Spool
from tests.unit.lineage.conftest import CANARY, IDENTITY, NOW, ROOT, events_in, make_active, make_collected
from tests.unit.lineage.test_events import document, end


@pytest.fixture(autouse=True)
def fresh_breaker(monkeypatch):
    monkeypatch.setattr(emitter.PROCESS_BREAKER, "open", False)
    monkeypatch.setattr(emitter.ROOT_BREAKER, "open", False)


@pytest.fixture
def hurried(monkeypatch):
    """One second for an event."""
    given = emitter.SafeEmitter.__init__.__kwdefaults__
    monkeypatch.setitem(given, "event_seconds", 1.0)


def make_lineage(context, store, tmp_path, root=ROOT):
    return provider.step_lineage(
        context["task"], context, identity=IDENTITY, store=store, root=root, spool=tmp_path / "spool"
    )


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_start_and_an_end_arrive(context, store, tmp_path, events_file):
    lineage = make_lineage(context, store, tmp_path)
    active = make_active(store)
    lineage.started(active)
    lineage.started(active)
    lineage.ended(active, make_collected(active))
    start, complete = events_in(events_file)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"] == complete["job"]
    assert complete["job"]["name"] == "churn.train.fit"
    assert CANARY not in events_file.read_text()
    assert not (tmp_path / "spool").exists()


def test_ids_are_those_of_the_providers_own_events(context, store, tmp_path, events_file):
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

    made = provider.child_run(context, IDENTITY, "fit", attempt=2, try_number=3)
    task_run = OpenLineageAdapter.build_task_instance_run_id(
        dag_id="churn", task_id="train", try_number=3, logical_date=NOW, map_index=-1
    )
    dag_run = OpenLineageAdapter.build_dag_run_id(dag_id="churn", logical_date=NOW, clear_number=0)
    assert made.parent == RunName("default", "churn.train", task_run)
    assert made.root == RunName("default", "churn", dag_run)
    assert made.run.job == "churn.train.fit"
    assert made == provider.child_run(context, IDENTITY, "fit", attempt=2, try_number=3)
    assert made.run.run_id != provider.child_run(context, IDENTITY, "fit", attempt=1, try_number=3).run.run_id


def test_the_root_is_inherited_from_what_started_the_run(context, events_file):
    given = {
        "rootParentRunId": "018f0000-0000-7000-8000-000000000009",
        "rootParentJobNamespace": "up",
        "rootParentJobName": "top",
    }
    context["dag_run"].conf = {"openlineage": given}
    made = provider.child_run(context, IDENTITY, "fit", attempt=1, try_number=1)
    assert made.root == RunName("up", "top", "018f0000-0000-7000-8000-000000000009")


def test_a_dead_address_neither_fails_nor_holds_up_the_step(context, store, tmp_path, use_transport, hurried):
    use_transport(type="http", url=f"http://127.0.0.1:{closed_port()}")
    lineage, active = make_lineage(context, store, tmp_path), make_active(store)
    began = time.perf_counter()
    lineage.started(active)
    lineage.ended(active, make_collected(active))
    assert time.perf_counter() - began < 2.5
    assert not (tmp_path / "spool").exists(), "the artifact root has them"
    kept = [store.read(facts.uri) for facts in store.list(ROOT) if "/lineage-spool/" in facts.uri]
    assert len(kept) == 2
    assert CANARY not in str(kept)

    events = tmp_path / "later.ndjson"
    use_transport(type="file", log_file_path=str(events), append=True)
    waiting = [Spool(tmp_path / "spool"), RootSpool(store, ROOT, "prod")]
    report = provider.replay_spools(waiting)  # what `lineage-replay` does
    assert (report.sent, report.left) == (2, 0)
    assert [event["eventType"] for event in events_in(events)] == ["START", "COMPLETE"]
    assert [facts.uri for facts in store.list(ROOT) if "/lineage-spool/" in facts.uri] == []


def test_a_refused_event_is_an_error_that_the_adapter_would_have_kept_to_itself(use_transport):
    use_transport(type="http", url=f"http://127.0.0.1:{closed_port()}", retry={"total": 0})
    with pytest.raises(Exception, match=r"refused|Max retries"):
        provider.send(end())


def test_an_event_from_the_spool_is_the_event_that_was_kept(events_file):
    made = document(end())
    provider.send_document(made)
    (sent,) = events_in(events_file)
    sent["run"]["facets"].pop("tags", None)  # the client's own
    assert sent == made


def test_without_a_transport_there_is_nothing_to_tell_and_it_costs_nothing(context, store, tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW__OPENLINEAGE__TRANSPORT", raising=False)
    began = time.perf_counter()
    for _ in range(100):
        assert make_lineage(context, store, tmp_path) is None
    assert time.perf_counter() - began < 1
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    "rule",
    [
        {"scope": {"dag_id": "churn", "task_id": "train"}, "controls": {"emit": False}},
        {"scope": {"dag_id": "churn"}, "controls": {"extract_operator_metadata": False}},
        {"scope": {}, "controls": {"emit_task_events": False}},
    ],
)
def test_the_emission_policy_counts(context, store, tmp_path, events_file, monkeypatch, rule):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EMISSION_POLICY", json.dumps([rule]))
    assert make_lineage(context, store, tmp_path) is None


def test_switched_off(context, store, tmp_path, events_file, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLED", "true")
    assert make_lineage(context, store, tmp_path) is None


def test_a_broken_configuration_is_no_failure_of_the_step(context, store, tmp_path, events_file, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", "{nonsense")
    assert make_lineage(context, store, tmp_path) is None


def test_an_older_provider_has_other_switches(context, monkeypatch):
    from airflow.providers.openlineage.utils import utils

    monkeypatch.setitem(__import__("sys").modules, "airflow.providers.openlineage.utils.emission_policy", None)
    for disabled, selected, allowed in [(False, True, True), (True, True, False), (False, False, False)]:
        monkeypatch.setattr(utils, "is_operator_disabled", lambda operator, answer=disabled: answer)
        monkeypatch.setattr(utils, "is_selective_lineage_enabled", lambda operator, answer=selected: answer)
        assert provider._allowed(SimpleNamespace(), "d", "t") is allowed


def test_a_context_without_what_the_ids_need_is_said_and_nothing_else(context, store, tmp_path, events_file, caplog):
    del context["dag_run"].clear_number
    make_lineage(context, store, tmp_path).started(make_active(store))
    assert events_in(events_file) == []
    assert "the step is not touched by it" in caplog.text


def test_what_runs_in_the_job_becomes_its_child():
    made = json.loads(
        provider.parent_context(ChildRun(RunName("n", "a.b.c", "1"), RunName("n", "a.b", "2"), RunName("n", "a", "3")))
    )
    assert made == {
        "parent": {
            "run": {"runId": "1"}, "job": {"namespace": "n", "name": "a.b.c"},
            "root": {"run": {"runId": "3"}, "job": {"namespace": "n", "name": "a"}},
        }
    }  # fmt: skip


def test_the_spools_file_can_be_kept_and_sent_by_anybody(tmp_path):
    Spool(tmp_path).keep(json.dumps(document(end())))
    got = []
    assert provider.replay_spools([Spool(tmp_path)], got.append).sent == 1
    assert got[0]["job"]["name"] == "churn.train.fit"
