"""What a step's own code learns of the lineage run that it is, in a real local job."""

from __future__ import annotations

import json

from tests.unit.lineage.conftest import events_file, events_in, use_transport

__all__ = ["events_file", "use_transport"]

BODY = """
@task.mlx
def step():
    import os

    return os.environ.get("OPENLINEAGE_CONTEXT")

step()
"""


def test_what_runs_openlineage_in_a_step_finds_its_run(load, execute, events_file):
    told = json.loads(execute(load(BODY)["step"]).result)
    (start,) = [event for event in events_in(events_file) if event["eventType"] == "START"]
    assert told["parent"]["run"]["runId"] == start["run"]["runId"]
    assert told["parent"]["job"] == {"namespace": start["job"]["namespace"], "name": start["job"]["name"]}
    assert told["parent"]["root"]["run"]["runId"] == start["run"]["facets"]["parent"]["root"]["run"]["runId"]


def test_what_the_target_says_itself_counts(load, execute, events_file):
    stacks = (
        "default: one\nstacks:\n  one:\n    artifacts: {}\n"
        "    targets: {default: {backend: local, env: {OPENLINEAGE_CONTEXT: mine}}}\n"
    )
    assert execute(load(BODY, stacks=stacks)["step"]).result == "mine"


def test_without_lineage_there_is_nothing(load, execute):
    assert execute(load(BODY)["step"]).result is None
