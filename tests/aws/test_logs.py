"""CloudWatch Logs as its API reference has it."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint
from .logs import LogStore

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def client(endpoint, name):
    client = endpoint.client("logs")
    endpoint.logs.emit(GROUP, f"{name}/algo-1-1", [(1000 + n, f"one {n}") for n in range(5)])
    endpoint.logs.emit(GROUP, f"{name}/algo-2-1", [(1000 + n, f"two {n}") for n in range(5)])
    return client


def messages(answer) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_a_forward_token_repeats_at_the_end(endpoint, client, name):
    asked = {"logGroupName": GROUP, "logStreamName": f"{name}/algo-1-1", "startFromHead": True}
    first = client.get_log_events(**asked, limit=3)
    assert messages(first) == ["one 0", "one 1", "one 2"]
    second = client.get_log_events(**asked, nextToken=first["nextForwardToken"])
    assert messages(second) == ["one 3", "one 4"]
    end = client.get_log_events(**asked, nextToken=second["nextForwardToken"])
    assert messages(end) == []
    assert end["nextForwardToken"] == second["nextForwardToken"]
    endpoint.logs.emit(GROUP, f"{name}/algo-1-1", [(2000, "one 5")])
    assert messages(client.get_log_events(**asked, nextToken=end["nextForwardToken"])) == ["one 5"]


def test_without_start_from_head_the_latest_come(client, name):
    asked = {"logGroupName": GROUP, "logStreamName": f"{name}/algo-1-1"}
    last = client.get_log_events(**asked, limit=2)
    assert messages(last) == ["one 3", "one 4"]
    assert messages(client.get_log_events(**asked, limit=2, nextToken=last["nextBackwardToken"])) == ["one 1", "one 2"]


def test_times_of_a_stream_exclude_the_end(client, name):
    asked = {"logGroupName": GROUP, "logStreamName": f"{name}/algo-1-1", "startFromHead": True}
    assert messages(client.get_log_events(**asked, startTime=1001, endTime=1003)) == ["one 1", "one 2"]


def test_pages_hold_a_megabyte(endpoint, client, name):
    endpoint.logs.emit(GROUP, f"{name}/big", [(1000, "x" * 400_000)] * 5)
    asked = {"logGroupName": GROUP, "logStreamName": f"{name}/big", "startFromHead": True}
    sizes, token = [], None
    while True:
        page = client.get_log_events(**asked, **({"nextToken": token} if token else {}))
        if page["nextForwardToken"] == token:
            break
        sizes.append(len(page["events"]))
        token = page["nextForwardToken"]
    assert sizes == [2, 2, 1]


def test_streams_by_prefix(client, name):
    found = client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/", limit=1)
    assert [stream["logStreamName"] for stream in found["logStreams"]] == [f"{name}/algo-1-1"]
    assert found["logStreams"][0]["lastEventTimestamp"] == 1004
    rest = client.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/", limit=1, nextToken=found["nextToken"]
    )
    assert [stream["logStreamName"] for stream in rest["logStreams"]] == [f"{name}/algo-2-1"]
    assert "nextToken" not in rest
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="a", orderBy="LastEventTime")


@pytest.mark.parametrize("by", ["prefix", "names"])
def test_filtering_interleaves_streams(client, name, by):
    which = (
        {"logStreamNamePrefix": f"{name}/"}
        if by == "prefix"
        else {"logStreamNames": [f"{name}/algo-1-1", f"{name}/algo-2-1"]}
    )
    first = client.filter_log_events(logGroupName=GROUP, **which, limit=3)
    assert messages(first) == ["one 0", "two 0", "one 1"]
    assert first["searchedLogStreams"] == []
    rest = client.filter_log_events(logGroupName=GROUP, **which, nextToken=first["nextToken"])
    assert messages(rest) == ["two 1", "one 2", "two 2", "one 3", "two 3", "one 4", "two 4"]
    assert "nextToken" not in rest
    since = client.filter_log_events(logGroupName=GROUP, **which, startTime=1003, endTime=1003)
    assert messages(since) == ["one 3", "two 3"]
    assert len({event["eventId"] for event in since["events"]}) == 2


def test_filtering_by_both_is_refused(client):
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.filter_log_events(logGroupName=GROUP, logStreamNames=["a"], logStreamNamePrefix="a")


def test_what_is_not_there(client):
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        client.get_log_events(logGroupName=GROUP, logStreamName="none")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="log group does not exist"):
        client.describe_log_streams(logGroupName="none")


def test_a_client_can_write_too(client, name):
    client.create_log_group(logGroupName=name)
    client.create_log_stream(logGroupName=name, logStreamName="mine")
    client.put_log_events(
        logGroupName=name, logStreamName="mine", logEvents=[{"timestamp": 2, "message": "b"}, {"timestamp": 1, "message": "a"}]
    )  # fmt: skip
    assert messages(client.get_log_events(logGroupName=name, logStreamName="mine", startFromHead=True)) == ["a", "b"]
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=name)
    client.delete_log_stream(logGroupName=name, logStreamName="mine")
    assert client.describe_log_streams(logGroupName=name)["logStreams"] == []
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_log_stream(logGroupName=name, logStreamName="mine")
    client.delete_log_group(logGroupName=name)


def test_the_stream_appears_with_the_first_line(train, endpoint, name):
    train("import time; time.sleep(0.1)")
    with pytest.raises(endpoint.client("logs").exceptions.ResourceNotFoundException):
        endpoint.client("logs").get_log_events(logGroupName=GROUP, logStreamName=f"{name}/algo-1-1")


def test_lines_may_come_late():
    store = LogStore(delay_seconds=60)
    store.emit("group", "stream", [(1, "a")])
    assert store.streams("group") == []
    assert store.events("group", "stream") == []
    store.delay_seconds = 0  # the minute is over
    assert [event.message for event in store.events("group", "stream")] == ["a"]


def test_an_endpoint_begins_with_no_logs():
    with Endpoint(execute=False, bucket="other") as fresh:
        assert fresh.client("logs").describe_log_groups()["logGroups"] == []
