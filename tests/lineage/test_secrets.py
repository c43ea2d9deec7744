"""Secrets in parameters, exceptions, addresses and connections, on three backends: the lineage has none of them."""

from __future__ import annotations

import json

from tests.openlineage.validation import events_in, is_ours
from tests.security.canaries import files_under

from .conftest import Ran


def test_no_secret_is_in_any_event_of_ours(ran: Ran):
    events = list(events_in(ran.airflow.events))
    failed = [event for event in events if is_ours(event) and event["eventType"] == "FAIL"]
    assert len(failed) == 3, "else nothing is proved"
    assert all("ValueError" in json.dumps(event["run"]["facets"]["errorMessage"]) for event in failed)
    assert ran.canaries.found_in({"ours": [event for event in events if is_ours(event)]}) == []


def test_what_airflow_says_of_our_exceptions_has_none_either(ran: Ran):
    facets = [event["run"].get("facets", {}) for event in events_in(ran.airflow.events) if not is_ours(event)]
    messages = [one["errorMessage"]["message"] for one in facets if "errorMessage" in one]
    assert any("ValueError" in message for message in messages)
    assert ran.canaries.found_in({"messages": messages}) == []


def test_no_secret_is_in_the_store_or_in_what_it_answers(ran: Ran):
    stored = {name: file for name, file in files_under(ran.folder).items() if "lineage.db" in name}
    assert stored
    assert ran.canaries.found_in(stored) == []
    steps = ran.airflow.lineage("steps", dag_id="leaky")["steps"]
    assert len(steps) == 3
    answers = {"steps": steps, "search": ran.airflow.lineage("search", q="leaky")}
    answers |= {step["job"]: ran.airflow.lineage(f"nodes/{step['job']}/runs") for step in steps}
    assert ran.canaries.found_in(answers) == []


def test_no_secret_of_a_connection_leaves_airflow(ran: Ran):
    """Arguments are the step's own data, and go to the job; connections, and what opens them, do not."""
    canaries = type(ran.canaries)({"a connection": ran.canaries.planted["a connection"]})
    s3 = ran.backends.aws.client("s3")
    objects = {
        one["Key"]: s3.get_object(Bucket="artifacts", Key=one["Key"])["Body"].read()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="artifacts")
        for one in page.get("Contents", ())
    }
    assert any(key.endswith("error.json") for key in objects)
    requests = {f"call {index}": dict(call.params) for index, call in enumerate(ran.backends.aws.calls.copy())}
    pods = {"pods": ran.backends.tenant.get("pods"), "configmaps": ran.backends.tenant.get("configmaps")}
    runs = {"runs": ran.backends.kubeflow.request("GET", "/apis/v2beta1/runs").json()}
    logs = files_under(ran.airflow.home / "logs")
    assert logs
    assert canaries.found_in({**objects, **requests, **pods, **runs, **logs}) == []
