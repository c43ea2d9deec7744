"""What a Job says of pods that fail."""

from __future__ import annotations

from airflow_provider_mlx.backends.kubernetes.plan import failure_policy


def test_a_pod_that_a_preemption_by_kueue_has_ended_does_not_fail_its_job():
    actions = [(rule["action"], rule.get("onExitCodes")) for rule in failure_policy(queued=True)["rules"]]
    assert actions == [
        ("FailJob", None),
        ("Ignore", {"operator": "In", "values": [143]}),
        ("FailJob", {"operator": "NotIn", "values": [0]}),
    ]


def test_a_job_that_nobody_suspends_has_one_pod_and_no_second_one():
    assert {rule["action"] for rule in failure_policy(queued=False)["rules"]} == {"FailJob"}
