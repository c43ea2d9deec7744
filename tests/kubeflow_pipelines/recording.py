"""
Answers of a real server, kept as files for tests that have none; ``test_recorded.py`` compares them with a server's.

What differs each time (times, ids that the server makes, the end of a Workflow's name) is replaced by something that
does not; the details of tasks, which come in no order, are sorted; a Workflow's ``managedFields`` are left out. So a file
changes when the server's answer does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

from .run_bodies import PIPELINE, new_run_id, run_body, run_id_of
from .server import Server
from .workflows import Node, node_id, step_nodes, template_prefix

API: Final = "/apis/v2beta1"
WORKFLOW: Final = f"{PIPELINE}-tm5c4"
"""The name of every Workflow in a recording."""
NOW: Final = "2026-11-23T10:00:00Z"
_TIME: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME: Final = re.compile(rf"{PIPELINE}-[a-z0-9]{{5}}(?![a-z0-9])")
_REGISTRY: Final = re.compile(r"\b(ghcr|gcr|quay|docker)\.io\b")
_VERSION: Final = re.compile(r'(\\?"resourceVersion\\?":\s?\\?)"\d+')
_SECONDS: Final = re.compile(r'(\\?"pipelines.kubeflow.org/start_time\\?":\s?\\?)"\d+')


def recordings(server: Server) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every answer by its name."""
    for part in (_states, _stops, _errors):
        for name, answer in part(server):
            yield name, stable(answer)


def stable(answer: httpx.Response) -> dict[str, Any]:
    """An answer without what differs each time."""
    try:
        body = _sorted(answer.json())
    except ValueError:
        body = answer.text
    found = {
        "request": f"{answer.request.method} {answer.request.url.raw_path.decode()}", "status": answer.status_code,
        "content_type": answer.headers.get("content-type", ""), "body": body,
    }  # fmt: skip
    told: dict[str, Any] = json.loads(_stable_text(json.dumps(found)))
    return told


def _states(server: Server) -> Iterator[tuple[str, httpx.Response]]:
    """One run from its beginning to its end, and away."""
    yield "healthz", server.request("GET", f"{API}/healthz")
    run = run_id_of("succeeds")
    yield "run-created", server.request("POST", f"{API}/runs", run_body(run))
    yield "run-pending", server.request("GET", f"{API}/runs/{run}")
    server.report(run, "Running", _waiting(server, run))
    yield "run-running-pod-pending", server.request("GET", f"{API}/runs/{run}")
    yield "workflow-pod-pending", server.request("GET", f"/apis/v1beta1/runs/{run}")
    server.report(run, "Running")
    yield "run-running", server.request("GET", f"{API}/runs/{run}")
    server.report(run, "Succeeded")
    yield "run-succeeded", server.request("GET", f"{API}/runs/{run}")
    yield "workflow-succeeded", server.request("GET", f"/apis/v1beta1/runs/{run}")
    failed = run_id_of("fails")
    server.request("POST", f"{API}/runs", run_body(failed))
    server.report(failed, "Failed", message="Error (exit code 1)")
    yield "run-failed", server.request("GET", f"{API}/runs/{failed}")
    yield "workflow-failed", server.request("GET", f"/apis/v1beta1/runs/{failed}")
    wanted = {"predicates": [{"key": "run_id", "operation": "IN", "string_values": {"values": [run, failed]}}]}
    yield "runs-by-id", _list(server, filter=json.dumps(wanted, separators=(",", ":")), sort_by="created_at desc")
    yield "runs-first-page", _list(server, page_size="1")
    yield "retry", server.request("POST", f"{API}/runs/{failed}:retry", {})
    yield "run-retried", server.request("GET", f"{API}/runs/{failed}")
    yield "archive", server.request("POST", f"{API}/runs/{run}:archive", {})
    yield "run-archived", server.request("GET", f"{API}/runs/{run}")
    yield "delete", server.request("DELETE", f"{API}/runs/{run}")


def _stops(server: Server) -> Iterator[tuple[str, httpx.Response]]:
    """A run that is stopped: told of in between, and not."""
    run = run_id_of("is stopped")
    server.request("POST", f"{API}/runs", run_body(run))
    server.report(run, "Running")
    yield "terminate", server.request("POST", f"{API}/runs/{run}:terminate", {})
    yield "run-canceling", server.request("GET", f"{API}/runs/{run}")
    server.report(run, "Failed", message="Step exceeded its deadline")
    yield "run-terminated", server.request("GET", f"{API}/runs/{run}")
    yield "workflow-terminated", server.request("GET", f"/apis/v1beta1/runs/{run}")
    yield "error-terminate-over", server.request("POST", f"{API}/runs/{run}:terminate", {})


def _errors(server: Server) -> Iterator[tuple[str, httpx.Response]]:
    """What the server says no with."""
    nobody, run = run_id_of("nobody"), run_id_of("is there")

    def create(**more: Any) -> httpx.Response:
        return server.request("POST", f"{API}/runs", run_body(run_id_of(str(sorted(more))), **more))

    def spec(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        changed = run_body()["pipeline_spec"]
        change(changed)
        return {"pipeline_spec": changed}

    yield "error-no-run", server.request("GET", f"{API}/runs/{nobody}")
    yield "error-no-workflow", server.request("GET", f"/apis/v1beta1/runs/{nobody}")
    yield "error-terminate-no-run", server.request("POST", f"{API}/runs/{nobody}:terminate", {})
    yield "error-no-route", server.request("GET", f"{API}/nothing")
    server.request("POST", f"{API}/runs", run_body(run))
    yield "error-duplicate-run", server.request("POST", f"{API}/runs", run_body(run))
    yield "error-retry-running", server.request("POST", f"{API}/runs/{run}:retry", {})
    yield "error-unknown-field", create(no_such_field=1)
    yield "error-unknown-parameter", create(runtime_config={"parameters": {"rows": 1}})
    yield "error-no-name", create(display_name="")
    yield "error-long-name", create(display_name="x" * 300)
    yield "error-emoji", create(display_name="\N{ROCKET}")
    yield "error-no-experiment", create(experiment_id=new_run_id())
    yield "error-unknown-schema", create(**spec(lambda both: both["pipeline_spec"].update(schemaVersion="2.2.0")))
    yield "error-unknown-pipeline-field", create(**spec(lambda both: both["pipeline_spec"].update(noSuchField=1)))
    yield "error-braces", create(**spec(lambda both: _command(both).append("{{inputs.parameters.x}}")))
    yield "error-filter", _list(server, filter='{"predicates":[{"key":"nothing","operation":"EQUALS"}]}')
    yield "error-page-size", _list(server, page_size="-1")
    server.request("POST", f"{API}/experiments", {"display_name": "twice"})
    yield "error-duplicate-experiment", server.request("POST", f"{API}/experiments", {"display_name": "twice"})


def _waiting(server: Server, run_id: str) -> list[Node]:
    prefix = template_prefix(server.workflows(run_id)[0])
    return step_nodes("Pending", "ImagePullBackOff: Back-off pulling image", prefix=prefix)


def _list(server: Server, **params: str) -> httpx.Response:
    return server.request("GET", f"{API}/runs?{httpx.QueryParams(params)}")


def _command(both: Mapping[str, Any]) -> list[str]:
    executors = both["pipeline_spec"]["deploymentSpec"]["executors"]
    command: list[str] = executors["exec-step"]["container"]["command"]
    return command


def _without_managers(manifest: str) -> str:
    workflow = json.loads(manifest)
    workflow["metadata"].pop("managedFields", None)
    if nodes := (workflow.get("status") or {}).get("nodes"):
        workflow["status"]["nodes"] = dict(sorted(nodes.items(), key=lambda one: one[1]["name"]))
    return json.dumps(workflow, separators=(",", ":"))


def _stable_text(text: str) -> str:
    for name in sorted(set(_NAME.findall(text))):
        for node in reversed(step_nodes("Running")):  # the first one's id is the name
            text = text.replace(node_id(name, node.path), node_id(WORKFLOW, node.path))
    text = _SECONDS.sub(
        r'\1"1763892000', _VERSION.sub(r'\1"1', _TIME.sub(NOW, _REGISTRY.sub("registry.example.com", text)))
    )
    ours = {run_id_of(name) for name in ("succeeds", "fails", "is stopped", "nobody", "is there")}
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        one = found[0]
        return one if one in ours else numbers.setdefault(one, f"00000000-0000-4000-8000-{len(numbers) + 1:012}")

    return _UUID.sub(numbered, text)


def _sorted(body: Any) -> Any:
    """The details of tasks by name, those of one run or of a list's; Workflows without their managers."""
    if not isinstance(body, dict):
        return body
    for run in [body, *(body.get("runs") or ())]:
        details = (run.get("run_details") or {}).get("task_details")
        if isinstance(details, list):
            # the Workflow's own name is another one each time
            details.sort(key=lambda one: _NAME.sub(WORKFLOW, one.get("display_name") or ""))
    if "next_page_token" in body:
        body["next_page_token"] = "a-token"
    manifests = body.get("pipeline_runtime") or {}
    manifests.update({name: _without_managers(text) for name, text in manifests.items()})
    return body
