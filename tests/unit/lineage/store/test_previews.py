"""What the page shows of a step's outputs: which, of whom, to whom, and that nothing in them does anything."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from airflow_provider_mlx import Html, Markdown, Table
from airflow_provider_mlx.lineage.server.app import make_app
from airflow_provider_mlx.lineage.server.previews import MAX_BYTES, Previews
from tests.unit.lineage.store.conftest import OTHER, OURS, TOKEN, USERS, run_id, told, user_of, write_result

STEP = run_id(21)
ABOVE = ("churn.train", 20)
EVENTS = [
    told("churn.train", 20, dag="churn", dag_run="r1", task="train"),
    told("churn.train.fit", 21, parent=ABOVE, backend="kubernetes"),
    told("payroll.pay", 60, dag="payroll", dag_run="r1", task="pay"),
    told("payroll.pay.sum", 61, parent=("payroll.pay", 60), backend="kubernetes"),
]
SANDBOX = "sandbox; default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
HOSTILE = "<script>parent.document.title='broken'</script><img src=x onerror=alert(1)>"


@pytest.fixture
def url(tmp_path):
    """One database is enough: what is asked of it is asked elsewhere of both."""
    return f"sqlite:///{tmp_path}/lineage.db"


@pytest.fixture
def tell(client):
    def telling(*events, headers=TOKEN):
        answer = client.post("/api/v1/lineage/batch", json=list(events), headers=headers)
        assert answer.status_code == 200, answer.text

    return telling


@pytest.fixture
def ask(client, tell):
    tell(*EVENTS)

    def asking(output=None, user="ann", run=STEP):
        path = f"/api/v1/runs/{run}/previews" + ("" if output is None else f"/{quote(output, safe='')}")
        return client.get(path, headers={"X-User": user})

    return asking


def kinds(answer):
    assert answer.status_code == 200, answer.text
    return {one["output"]: one["kind"] for one in answer.json()}


def file_of(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_what_a_person_can_look_at_is_offered_and_nothing_else(ask, root, tmp_path):
    write_result(root, {
        "plot": file_of(tmp_path, "x.png", PNG), "report": Markdown("# Report"), "page": Html("<b>x"),
        "rows": Table([{"a": 1}]), "note": "a text", "csv": file_of(tmp_path, "x.csv", "a,b\n1,2\n"),
        "svg": file_of(tmp_path, "x.svg", "<svg/>"), "frame": pd.DataFrame({"a": [1]}), "number": 0.9,
        "binary": b"\x00", "archive": file_of(tmp_path, "x.tar", b"\x00"),
    })  # fmt: skip
    answer = ask()
    assert kinds(answer) == {
        "plot": "figure", "report": "markdown", "page": "html", "rows": "table", "note": "text",
        "csv": "table", "svg": "figure",
    }  # fmt: skip
    first = answer.json()[0]
    assert (first["output"], first["mediaType"], first["href"]) == ("plot", "image/png", f"runs/{STEP}/previews/plot")
    assert first["size"] == len(PNG)


@pytest.mark.parametrize(("value", "media_type", "shown"), [
    (lambda folder: file_of(folder, "x.png", PNG), "image/png", PNG),
    (lambda folder: Markdown("# Report\n\n|a|\n|-|\n|1|\n"), "text/html; charset=utf-8", b"<h1>Report</h1>"),
    (lambda folder: Html("<h1>ä</h1>"), "text/html; charset=utf-8", "<h1>ä</h1>".encode()),
    (lambda folder: Table([{"name": "a", "score": float("nan")}, {"more": None}]), "text/html; charset=utf-8",
     b"<tr><td>a</td><td>nan</td><td></td></tr>"),
    (lambda folder: "plain <b>text</b>", "text/plain; charset=utf-8", b"plain <b>text</b>"),
    (lambda folder: file_of(folder, "x.csv", "name;x,score\nä,1\n"), "text/html; charset=utf-8",
     "<tr><td>ä</td><td>1</td></tr>".encode()),
    (lambda folder: file_of(folder, "x.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"), "image/svg+xml", b"<svg "),
])  # fmt: skip
def test_each_kind_is_answered_as_a_browser_shows_it_and_can_run_nothing(ask, root, tmp_path, value, media_type, shown):
    write_result(root, value(tmp_path))
    answer = ask("return_value")
    assert (answer.status_code, shown in answer.content) == (200, True), answer.text
    assert answer.headers["Content-Type"] == media_type
    assert {name: answer.headers[name] for name in ("Content-Security-Policy", "X-Content-Type-Options", "Cache-Control",
                                                    "Content-Disposition")} == {
        "Content-Security-Policy": SANDBOX, "X-Content-Type-Options": "nosniff", "Cache-Control": "private",
        "Content-Disposition": "inline",
    }  # fmt: skip


@pytest.mark.parametrize("value", [
    lambda folder: Html(HOSTILE), lambda folder: file_of(folder, "x.svg", f"<svg onload='alert(1)'>{HOSTILE}</svg>"),
], ids=["html", "svg"])  # fmt: skip
def test_hostile_markup_is_answered_as_it_is_in_the_sandbox(ask, root, tmp_path, value):
    write_result(root, value(tmp_path))
    answer = ask("return_value")
    assert (HOSTILE in answer.text, answer.headers["Content-Security-Policy"]) == (True, SANDBOX)


@pytest.mark.parametrize("value", [
    lambda folder: Markdown(f"{HOSTILE}\n\n[x](javascript:alert(1)) <b>{HOSTILE}</b>"),
    lambda folder: Markdown(HOSTILE * 2000),
    lambda folder: Table([{HOSTILE: HOSTILE}]),
    lambda folder: file_of(folder, "x.csv", f"{HOSTILE},b\n{HOSTILE},{HOSTILE}\n"),
    lambda folder: file_of(folder, "x.csv", f'"{HOSTILE * 3000}'),
    lambda folder: file_of(folder, "x.tsv", f"a\x00{HOSTILE}".encode() + b"\xff\xfe"),
], ids=["markdown", "markdown that is long", "table", "csv", "csv that is none", "bytes"])  # fmt: skip
def test_markup_in_text_stays_text(ask, root, tmp_path, value):
    write_result(root, value(tmp_path))
    text = ask("return_value").text
    assert "&lt;script&gt;" in text
    assert not [tag for tag in ("<script", "<img", "<b>", 'href="javascript') if tag in text]


def test_of_a_long_table_the_first_rows_are_shown(ask, root):
    write_result(root, Table([{"n": number, "text": "y" * 1000} for number in range(60)]))
    text = ask("return_value").text
    assert (text.count("<tr>"), "first 50 rows" in text, "y" * 301 in text) == (51, True, False)


@pytest.mark.parametrize("output", [None, "return_value"])
@pytest.mark.parametrize(("user", "run"), [("bob", STEP), ("eve", STEP), ("ann", run_id(61)), ("ann", run_id(999))])
def test_a_run_of_a_dag_that_one_may_not_read_is_not_there(ask, root, user, run, output):
    write_result(root, "secret")
    write_result(root, "secret", dag_id="payroll", task_id="pay")
    answer = ask(output, user=user, run=run)
    assert (answer.status_code, answer.json()) == (404, {"detail": "there is no such run"})
    assert ask(output, user="adm", run=run_id(61)).status_code == 200


def test_what_is_no_step_has_no_previews(ask):
    assert kinds(ask(run=run_id(20))) == {}
    assert ask("return_value", run=run_id(20)).status_code == 404


def test_before_a_step_is_over_it_has_none(ask):
    assert kinds(ask()) == {}
    assert ask("return_value").status_code == 404


def test_a_mapped_step_shows_its_own_and_each_attempt_too(ask, tell, root):
    tell(
        told("churn.each", 40, dag="churn", dag_run="r1", task="each", map_index=3),
        told("churn.each.fit", 41, parent=("churn.each", 40), backend="kubernetes"),
    )
    write_result(root, "of 3", task_id="each", map_index=3)
    write_result(root, "of 4", task_id="each", map_index=4)
    write_result(root, "again", task_id="each", map_index=3, attempt=2)
    assert ask("return_value", run=run_id(41)).text == "of 3"


def test_what_others_tell_of_a_run_leads_nowhere(ask, tell, root):
    write_result(root, "secret", dag_id="payroll", task_id="pay")
    theirs = told("spark.own", 70, parent=("payroll.pay", 60), backend="kubernetes")
    below = told("churn.spark", 71, parent=("churn.train", 20), backend="kubernetes")
    for event in (theirs, below):
        event["job"]["namespace"] = "spark"
    tell(theirs, below, headers=OTHER)
    assert ask("return_value", run=run_id(70)).status_code == 404
    assert kinds(ask(run=run_id(71))) == {}, "it is seen, and is none of Airflow's"


@pytest.mark.parametrize(
    ("codec", "kind"), [("figure", "figure"), ("image", "figure"), ("plotly", None), ("onnx", None)]
)
def test_a_picture_of_a_library_is_a_figure_and_what_needs_a_script_is_none(ask, root, tmp_path, codec, kind):
    """The libraries are not in this environment: the bytes are a PNG as Matplotlib and Pillow write them."""
    folder = write_result(root, file_of(tmp_path, "x.png", PNG))
    changed(folder, codec=codec)
    assert kinds(ask()).get("return_value") == kind
    assert ask("return_value").status_code == (200 if kind else 404)


# --- places ----------------------------------------------------------------------------------------------------------


def changed(folder: Path, **facts):
    """What a job's result says of its output, changed."""
    file = folder / "result.json"
    result = json.loads(file.read_text())
    result["outputs"]["return_value"]["artifact"].update(facts)
    file.write_text(json.dumps(result))


@pytest.mark.parametrize("place", [
    "{root}/runs/eu/payroll/r1/pay/-1/attempt-1/outputs/return_value.txt", "{folder}/outputs/../result.json",
    "{folder}/outputs/%2e%2e/result.json", "{folder}/context.json", "{folder}-2/outputs/x.txt", "file:///etc/passwd",
    "s3://elsewhere/x.txt", "memory://x/y.txt", "https://example.com/x.txt", "", "{folder}/outputs\\x",
])  # fmt: skip
def test_an_output_elsewhere_is_never_read(ask, root, monkeypatch, place):
    write_result(root, "secret", dag_id="payroll", task_id="pay")
    folder = write_result(root, "mine")
    changed(folder, uri=place.format(root=root.as_uri(), folder=folder.as_uri()))
    read = []
    monkeypatch.setattr("airflow_provider_mlx.artifacts.store.ObjectStore.read", reading(read))
    assert kinds(ask()) == {}
    assert ask("return_value").status_code == 404
    assert {name.rpartition("/")[2] for name in read} == {"result.json"}


def reading(read):
    from airflow_provider_mlx.artifacts.store import ObjectStore

    real = ObjectStore.read

    def noted(self, uri, **limits):
        read.append(uri)
        return real(self, uri, **limits)

    return noted


def test_a_link_out_of_the_root_is_not_followed(ask, root, tmp_path):
    secret = file_of(tmp_path, "secret.txt", "mine")
    folder = write_result(root, "mine")
    (folder / "outputs" / "return_value.txt").unlink()
    os.symlink(secret, folder / "outputs" / "return_value.txt")
    answer = ask("return_value")
    assert (answer.status_code, "mine" in answer.text) == (404, False)


def test_an_output_that_was_changed_is_not_shown(ask, root):
    folder = write_result(root, "mine")
    (folder / "outputs" / "return_value.txt").write_text("theirs")
    answer = ask("return_value")
    assert (answer.status_code, "somebody has changed it" in answer.json()["detail"]) == (404, True)


def test_an_output_that_was_removed_says_how_to_have_it_again(ask, root):
    folder = write_result(root, "mine")
    (folder / "outputs" / "return_value.txt").unlink()
    assert "clear the task" in ask("return_value").json()["detail"]


@pytest.mark.parametrize("says_so", [True, False])
def test_what_is_too_large_is_not_shown(ask, root, says_so):
    folder = write_result(root, Html("x" * (MAX_BYTES + 1)))
    if not says_so:
        changed(folder, size=1)
    assert ("return_value" in kinds(ask())) is not says_so
    answer = ask("return_value")
    assert (answer.status_code, "at most 2,000,000" in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    "artifact", [{}, {"codec": "model_file"}, {"codec": "no such codec"}, {"sha256": 1}, {"uri": None}]
)
def test_what_is_no_output_that_can_be_shown_is_left_out(ask, root, artifact):
    folder = write_result(root, "mine")
    changed(folder, **artifact or {"mlx": "dataset/1"})
    assert kinds(ask()) == {}


@pytest.mark.parametrize("name", ["a/b", "../../result.json", "x?y=1#z", "100 %", "<b>ä\"'"])
def test_an_output_is_found_by_the_address_that_is_offered_whatever_its_name(client, ask, root, name):
    write_result(root, {name: "mine"})
    (one,) = [one for one in ask().json() if one["output"] == name]
    assert client.get(f"/api/v1/{one['href']}", headers={"X-User": "ann"}).text == "mine"


@pytest.mark.parametrize("name", ["..", ".", "a\nb", "a\ud800", "\u202egnp"])
def test_a_name_that_no_address_can_hold_is_left_out(ask, root, name):
    write_result(root, {name: "mine"})
    assert kinds(ask()) == {}


# --- roots -----------------------------------------------------------------------------------------------------------


def test_a_stack_that_is_not_the_deployments_is_not_looked_for(ask, tell):
    event = told("churn.train.fit", 22, parent=ABOVE, backend="kubernetes")
    event["run"]["facets"]["mlx_remoteJob"]["stack"] = "mine"
    tell(event)
    answer = ask(run=run_id(22))
    assert (answer.status_code, "`mine`" in answer.json()["detail"]) == (404, True)
    assert "define it in a file of `[mlx] stacks_files`" in answer.json()["detail"]


def asked_with(store, settings, **facts):
    previews = Previews(lambda: settings, **facts)
    client = TestClient(make_app(store, {"t0ken": OURS}, user=user_of, dags_of=USERS.__getitem__, previews=previews))
    assert client.post("/api/v1/lineage/batch", json=EVENTS, headers=TOKEN).status_code == 200
    return client.get(f"/api/v1/runs/{STEP}/previews", headers={"X-User": "ann"})


def test_stack_files_that_the_api_server_cannot_read_are_said(store, settings, tmp_path):
    answer = asked_with(store, dataclasses.replace(settings, stacks_files=(tmp_path / "nothing.yaml",)))
    assert (answer.status_code, "`[mlx] stacks_files`" in answer.json()["detail"]) == (502, True)


def on(settings, folder, artifacts):
    stacks = {"prod": {"artifacts": artifacts, "targets": {"default": {"backend": "local"}}}}
    (folder / "other.yaml").write_text(json.dumps({"stacks": stacks}))
    return dataclasses.replace(settings, stacks_files=(folder / "other.yaml",))


class Refusing(BaseHTTPRequestHandler):
    """An S3 that lets nobody in."""

    def do_HEAD(self):
        self.send_error(403)

    do_GET = do_HEAD


def test_a_root_that_refuses_says_which_connection_needs_which_right(store, settings, tmp_path, monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {"endpoint_url": f"http://127.0.0.1:{server.server_port}", "region_name": "eu-west-1"}
        connection = {"conn_type": "aws", "login": "key", "password": "hunter2canary", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_ML", json.dumps(connection))
        answer = asked_with(store, on(settings, tmp_path, {"root": "s3://ml/mlx", "conn_id": "aws_ml"}))
        server.shutdown()
    detail = answer.json()["detail"]
    assert answer.status_code == 502
    assert "refuses access" in detail and "`aws_ml`" in detail and "read objects below s3://ml/mlx/runs" in detail
    assert "canary" not in answer.text


def test_a_root_whose_client_is_not_installed_says_what_to_install(store, settings, tmp_path):
    answer = asked_with(store, on(settings, tmp_path, {"root": "gs://ml/mlx", "conn_id": "gcp_ml"}))
    detail = answer.json()["detail"]
    assert (answer.status_code, "apache-airflow-providers-google" in detail, "`gcp_ml`" in detail) == (502, True, True)


def test_a_record_that_is_none_is_said(ask, root):
    folder = write_result(root, "mine")
    (folder / "result.json").write_text("[]")
    answer = ask()
    assert (answer.status_code, "clear the task" in answer.json()["detail"]) == (502, True)


def test_a_root_that_gives_no_answer_holds_up_nobody(store, settings, root, monkeypatch):
    """The root is a disk that hangs: a named pipe without a writer."""
    folder = write_result(root, "mine")
    (folder / "result.json").unlink()
    os.mkfifo(folder / "result.json")
    answer = asked_with(store, settings, seconds=0.2)
    with (folder / "result.json").open("w"):
        pass  # lets the thread go
    assert (answer.status_code, "no answer within" in answer.json()["detail"]) == (502, True)
