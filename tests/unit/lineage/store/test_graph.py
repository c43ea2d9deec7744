"""What the store is asked."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.lineage.store.graph import neighbourhood, nodes_of, origin, search
from airflow_provider_mlx.lineage.store.runs import runs_of
from tests.unit.lineage.store.conftest import OURS, data, data_key, job_key, run_id, told

CHURN = [
    told("churn", 100, "START", dag="churn"),
    told("churn.prepare", 10, "COMPLETE", 1, parent=("churn", 100), dag="churn", inputs=[data("raw", "r1")],
         outputs=[data("clean", "c1")]),
    told("churn.train", 20, "COMPLETE", 2, parent=("churn", 100), dag="churn"),
    told("churn.train.fit", 21, "COMPLETE", 2, parent=("churn.train", 20), inputs=[data("clean", "c1")],
         outputs=[data("model", "m1", kind="MODEL")]),
    told("churn.score", 30, "COMPLETE", 3, parent=("churn", 100), dag="churn", inputs=[data("model", "m1")],
         outputs=[data("scores", "s1")]),
]  # fmt: skip


@pytest.fixture
def churn(store):
    assert store.ingest(CHURN, OURS).stored == len(CHURN)
    with store.reading() as connection:
        yield connection


def names(graph):
    return {node.name for node in graph.nodes}


def test_what_a_model_came_from_and_what_came_from_it(churn):
    graph = neighbourhood(churn, data_key("model"), up=10, down=10)
    assert names(graph) == {"raw", "churn.prepare", "clean", "churn.train.fit", "model", "churn.score", "scores"}
    assert (data_key("model"), job_key("churn.score")) in graph.edges
    assert (job_key("churn.train.fit"), data_key("model")) in graph.edges
    assert {node.name: node.kind for node in graph.nodes}["model"] == "model"
    assert not graph.cut


def test_as_many_steps_as_are_asked_for(churn):
    assert names(neighbourhood(churn, data_key("model"), up=2, down=0)) == {"model", "churn.train.fit", "clean"}
    assert names(neighbourhood(churn, job_key("churn.score"), up=0, down=1)) == {"churn.score", "scores"}


def test_more_than_the_limit_is_cut_and_says_so(churn):
    graph = neighbourhood(churn, data_key("raw"), up=0, down=10, limit=3)
    assert len(graph.nodes) == 3
    assert graph.cut
    assert all({source, target} <= {node.key for node in graph.nodes} for source, target in graph.edges)


def test_a_job_is_of_the_dag_of_the_nearest_job_around_it(churn):
    (fit,) = nodes_of(churn, [job_key("churn.train.fit")])
    assert (fit.dag, fit.parent, fit.state) == ("churn", job_key("churn.train"), "complete")


def test_versions_join_and_not_names(store):
    store.ingest(CHURN, OURS)
    later = [
        told("churn.prepare", 11, seconds=61, inputs=[data("raw", "r2")], outputs=[data("clean", "c2")]),
        told("churn.train.fit", 22, seconds=62, inputs=[data("clean", "c1")], outputs=[data("model", "m2")]),
    ]
    store.ingest(later, OURS)
    with store.reading() as connection:
        found = origin(connection, data_key("model"), "m2")
    assert [(one.run, one.version) for one in found] == [(run_id(22), "m2"), (run_id(10), "c1")]
    assert found[1].read == ((data_key("raw"), "r1"),), "the later raw data is no part of it"


def test_a_version_that_nobody_wrote_has_no_origin(churn):
    assert origin(churn, data_key("raw"), "r1") == ()


def test_a_circle_ends(store):
    store.ingest([told("loop", 1, inputs=[data("a", "1")], outputs=[data("a", "1")])], OURS)
    with store.reading() as connection:
        assert len(neighbourhood(connection, data_key("a"), up=99, down=99).nodes) == 2
        assert len(origin(connection, data_key("a"), "1")) == 1


@pytest.mark.parametrize(("text", "found"), [("TRAIN", ["churn.train", "churn.train.fit"]), ("%", []), ("a_", [])])
def test_a_search_takes_its_text_as_it_is(churn, text, found):
    assert [node.name for node in search(churn, text)] == found


def test_a_jobs_runs_say_what_each_read_and_wrote(churn):
    (one,) = runs_of(churn, job_key("churn.train.fit"))
    assert one["state"] == "complete"
    assert {(io["side"], io["dataset"], io["version"]) for io in one["data"]} == {
        ("in", data_key("clean"), "c1"), ("out", data_key("model"), "m1"),
    }  # fmt: skip
