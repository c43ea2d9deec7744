"""
The same step for Airflow's own SageMaker operator: its job writes the same lines to the same record. ``case.py``
copies this file for every case, as it does ``mlx.py``. What the operator does by default stays so, but for the
interval of its looks, which is 30 s.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.sdk import dag

MARKER = "first"
DAG_ID = "template"
TASK: dict[str, Any] = {}
ARGUMENTS: dict[str, Any] = {"folder": "/nowhere"}
RUN_SECONDS: float | None = None

NAPS = {name: datetime.timedelta(seconds=value) for name, value in TASK.pop("seconds", {}).items()}

# Runs in the "container". A training job has no return value: its process's number is a metric of it.
CODE = """
import json, os, sys, time

facts = {"run": os.environ["RUN"], "pid": os.getpid(), "marker": os.environ["MARKER"]}
folder, longest, fails = os.environ["FOLDER"], float(os.environ["LONGEST"]), int(os.environ["FAILS"])

def note(event):
    with open(folder + "/record.jsonl", "ab", buffering=0) as record:
        record.write((json.dumps(dict(facts, event=event, at=time.time())) + chr(10)).encode())

note("started")
print("pid=%d" % os.getpid(), flush=True)
until = time.monotonic() + longest
while time.monotonic() < until and not os.path.exists(folder + "/" + facts["run"] + ".finish"):
    time.sleep(0.05)
if int(os.environ["TRY"]) <= fails:
    note("failed")
    sys.exit("the first try fails")
note("ended")
"""

CONFIG = {
    # As a careful user names it: once for a run of the DAG. AWS takes 63 characters.
    "TrainingJobName": f"step-{hashlib.sha256(DAG_ID.encode()).hexdigest()[:20]}",
    "RoleArn": "arn:aws:iam::123456789012:role/faults",
    "AlgorithmSpecification": {
        "TrainingImage": "none",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-c"],
        "ContainerArguments": [CODE],
        "MetricDefinitions": [{"Name": "pid", "Regex": r"^pid=(\d+)"}],
    },
    "HyperParameters": {"marker": MARKER},
    "Environment": {
        "RUN": "{{ run_id }}",
        "TRY": "{{ ti.try_number }}",
        "MARKER": MARKER,
        "FOLDER": ARGUMENTS["folder"],
        "LONGEST": str(ARGUMENTS.get("longest", 150)),
        "FAILS": str(ARGUMENTS.get("fails", 0)),
    },
    "Tags": [{"Key": "run_id", "Value": "{{ run_id }}"}],
    "OutputDataConfig": {"S3OutputPath": "s3://faults/output"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}


@dag(dag_id=DAG_ID, schedule=None, dagrun_timeout=RUN_SECONDS and datetime.timedelta(seconds=RUN_SECONDS))
def build() -> None:
    SageMakerTrainingOperator(task_id="step", config=CONFIG, check_interval=5, **TASK, **NAPS)


build()
