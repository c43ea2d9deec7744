"""``lineage-graph``: from files of events and from a store, as text and as one file."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_mlx.cli import lineage_graph
from airflow_provider_mlx.cli.lineage_graph import run_lineage_graph
from airflow_provider_mlx.cli.main import parser
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.lineage.store.opening import Store
from tests.unit.lineage.store.conftest import OURS, data, data_key, job_key, told

EVIL = "</script><!--<script>alert(1)"
EVENTS = [
    told("churn", 100, "COMPLETE", 9, dag="churn", dag_run="r1"),
    told("churn.prepare", 10, "COMPLETE", 1, parent=("churn", 100), dag="churn", dag_run="r1", task="prepare",
         inputs=[data("raw", "r1")], outputs=[data("clean", "c/1")]),
    told("churn.fit", 11, "FAIL", 2, parent=("churn", 100), dag="churn", dag_run="r1", task="fit",
         inputs=[data("clean", "c/1")], errorMessage={"message": EVIL}),
    told("other.task", 12, "COMPLETE", 2, inputs=[data("elsewhere")]),
]  # fmt: skip
SCRIPT = "document.title = '</script>';"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(map(json.dumps, EVENTS)) + "\nno event\n")
    return str(path)


@pytest.fixture
def built(tmp_path, monkeypatch):
    script = tmp_path / "standalone.js"
    script.write_text(SCRIPT)
    monkeypatch.setattr(lineage_graph, "PAGE", script)


def graph_of(*arguments: str):
    return run_lineage_graph(parser().parse_args(["lineage-graph", *arguments]))


def recorded_in(path):
    text = path.read_text()
    (found,) = re.findall(r'<script type="application/json" id="mlx-lineage">(.*?)</script>', text, re.DOTALL)
    return json.loads(found), text


def test_what_came_from_what_is_printed(file):
    assert graph_of("--events", file, "--node", "clean").text.splitlines() == [
        "churn.fit (failed)", "  ← clean", "churn.prepare (complete)", "  ← raw", "  → clean",
        "1 lines are no events, and were passed over.",
    ]  # fmt: skip


def test_a_dag_run_and_everything_are_printed(file, tmp_path):
    assert "other.task" not in graph_of("--events", file, "--dag", "churn", "--run", "r1").text
    assert "other.task" in graph_of("--events", str(tmp_path)).text, "of a folder of files"


def test_a_store_is_read(tmp_path):
    url = f"sqlite:///{tmp_path}/lineage.db"
    store = Store.open(url)
    store.ingest(EVENTS, OURS)
    store.close()
    assert "churn.fit (failed)" in graph_of("--store", url, "--node", "churn.fit").text


def test_the_file_holds_the_graph_and_what_the_page_asks(file, built, tmp_path):
    graph_of("--events", file, "--node", "clean", "--html", str(tmp_path / "out.html"))
    recorded, _ = recorded_in(tmp_path / "out.html")
    assert recorded["title"] == "clean"
    assert [data_key("clean"), job_key("churn.fit")] in recorded["graph"]["edges"]
    answers = recorded["answers"]
    assert answers[f"nodes/{job_key('churn.fit')}/runs"][0]["state"] == "failed"
    assert answers[f"nodes/{data_key('clean')}/versions"][0]["version"] == "c/1"
    assert answers[f"nodes/{data_key('clean')}/versions/c%2F1/origin"][0]["job"] == job_key("churn.prepare")


def test_nothing_in_an_event_becomes_a_part_of_the_page(file, built, tmp_path):
    graph_of("--events", file, "--html", str(tmp_path / "out.html"))
    recorded, text = recorded_in(tmp_path / "out.html")
    (run,) = recorded["answers"][f"nodes/{job_key('churn.fit')}/runs"]
    assert run["facets"]["errorMessage"]["message"] == EVIL
    assert text.count("</script>") == text.count("<script") == 2
    assert "default-src 'none'" in text
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}' blob: data:;", text)


@pytest.mark.parametrize(("arguments", "said"), [
    (["--node", "cle"], "did you mean clean?"),
    (["--dag", "churn", "--run", "r2"], "nothing is known of the run"),
    (["--dag", "churn"], "a `--dag` with its `--run`"),
    (["--node", "clean", "--dag", "churn", "--run", "r1"], "not clear"),
    (["--html", "out.html"], "run `make ui`"),
])  # fmt: skip
def test_what_cannot_be_shown_says_what_to_do(file, monkeypatch, tmp_path, arguments, said):
    monkeypatch.setattr(lineage_graph, "PAGE", tmp_path / "nothing")
    with pytest.raises(JobMisconfigured) as refused:
        graph_of("--events", file, *arguments)
    assert said in str(refused.value)


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "name one with `--store`"),
    (["--store", "sqlite:////nowhere/lineage.db"], "no such SQLite file"),
    (["--store", "nosuch://x"], "cannot be opened"),
    (["--events", "/nowhere.ndjson"], "there are no events at"),
])  # fmt: skip
def test_without_events_it_says_what_to_name(monkeypatch, arguments, said):
    monkeypatch.setenv("AIRFLOW__MLX__LINEAGE_STORE", "")
    with pytest.raises(JobMisconfigured) as refused:
        graph_of(*arguments)
    assert said in str(refused.value)


def test_an_older_sqlalchemy_is_refused_and_says_what_to_do(file, monkeypatch):
    monkeypatch.setattr(lineage_graph, "version", lambda name: "1.4.54")
    with pytest.raises(JobMisconfigured, match="sqlalchemy>=2"):
        graph_of("--events", file)
