"""
An AWS endpoint whose training jobs really run, as processes of this host; prints ``ready PORT`` when it listens.

moto answers the calls of SageMaker and CloudWatch Logs, but its training jobs are born completed, a name can be taken
twice and nothing can be stopped: those three are replaced here. Of a request the container's entrypoint, arguments and
environment count, its tags (who the job is for), and its metric definitions; images, channels, S3 and
``MaxRuntimeInSeconds`` do not. What happened is appended to a record in the form of
:mod:`airflow_provider_mlx.testing.remote.record`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from moto.core.responses import EmptyResult
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.sagemaker.exceptions import AWSValidationException, ResourceInUseException
from moto.sagemaker.responses import SageMakerResponse

from airflow_provider_mlx.testing.remote.record import RecordWriter

LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
GRACE_SECONDS: Final = 120.0
"""Between the SIGTERM of a stop and SIGKILL, as AWS documents it."""

_RECORDED: Final = {"Completed": "succeeded", "Failed": "failed", "Stopped": "stopped"}


class TrainingJob:
    """
    One job: moto's description of it, kept up with the process that runs.

    :param backend: moto's, of one account and region.
    :param seen: moto's job: what ``DescribeTrainingJob`` shows.
    :param request: of ``CreateTrainingJob``.
    """

    def __init__(self, backend: Any, seen: Any, request: Mapping[str, Any], record: RecordWriter) -> None:
        self._place = (backend.account_id, backend.region_name)
        self._seen = seen
        self._request = request
        self._record = record
        self._lock = threading.Lock()
        self._stopping = False
        self._process: subprocess.Popen[str] | None = None
        self._name = str(request["TrainingJobName"])
        seen.environment = request.get("Environment")  # moto drops it
        definitions = request["AlgorithmSpecification"].get("MetricDefinitions", [])
        seen.algorithm_specification["MetricDefinitions"] = definitions  # moto's are invented
        seen.final_metric_data_list = []
        seen.secondary_status_transitions = []
        seen.training_start_time = seen.training_end_time = None
        self._show("InProgress", "Starting")
        labels = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self._note("created", labels=labels)
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """
        Ask it to end.

        :raises AWSValidationException: it is over.
        """
        with self._lock:
            if self._seen.training_job_status not in ("InProgress", "Stopping"):
                status = self._seen.training_job_status
                raise AWSValidationException(f"The request was rejected because the training job is in status {status}")
            self._note("stop_requested")
            self._stopping = True
            self._show("Stopping", "Stopping")
        self._send(signal.SIGTERM)
        killer = threading.Timer(GRACE_SECONDS, self._send, [signal.SIGKILL])
        killer.daemon = True
        killer.start()

    def kill(self) -> None:
        """End its processes now: the endpoint ends."""
        self._send(signal.SIGKILL)

    # --- its process -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._lock:
            if not self._stopping:
                self._process = self._start()
                self._seen.training_start_time = utcnow()
                self._show("InProgress", "Training")
                self._note("started")
        code = self._follow(self._process) if self._process else None
        with self._lock:
            status = "Stopped" if self._stopping else "Failed" if code else "Completed"
            failure = f"AlgorithmError: , exit code: {code}" if status == "Failed" else None
            if failure:
                self._seen.failure_reason = failure
            self._seen.training_end_time = utcnow()
            self._show(status, status, failure or "")
            self._note("ended", status=_RECORDED[status], failure=failure, exit_code=code)

    def _start(self) -> subprocess.Popen[str]:
        container = self._request["AlgorithmSpecification"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"  # "python" is this interpreter
        return subprocess.Popen(
            [*container["ContainerEntrypoint"], *container.get("ContainerArguments", [])],
            env={"PATH": path, "TRAINING_JOB_NAME": self._name, **self._request.get("Environment", {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip

    def _follow(self, process: subprocess.Popen[str]) -> int:
        """Its lines to CloudWatch Logs, the metrics that are in them to its description; its exit status."""
        logs = logs_backends[self._place[0]][self._place[1]]
        stream = f"{self._name}/algo-1-{int(time.time())}"
        with contextlib.suppress(Exception):  # every job but the first finds the group there
            logs.create_log_group(LOG_GROUP, {})
        logs.create_log_stream(LOG_GROUP, stream)
        assert process.stdout is not None
        for line in process.stdout:
            event = {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n")}
            logs.put_log_events(LOG_GROUP, stream, [event])
            self._measure(line)
        return process.wait()

    def _measure(self, line: str) -> None:
        for metric in self._seen.algorithm_specification["MetricDefinitions"]:
            found = re.search(metric["Regex"], line)
            if found:
                point = {"MetricName": metric["Name"], "Value": float(found[1]), "Timestamp": utcnow()}
                self._seen.final_metric_data_list.append(point)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    # --- what is said about it ---------------------------------------------------------------------------------------

    def _show(self, status: str, secondary: str, message: str = "") -> None:
        now, seen = utcnow(), self._seen
        if seen.secondary_status_transitions:
            seen.secondary_status_transitions[-1]["EndTime"] = now
        transition = {"Status": secondary, "StartTime": now, "StatusMessage": message or f"{secondary} the job"}
        seen.secondary_status_transitions.append(transition)
        seen.secondary_status, seen.last_modified_time = secondary, now
        seen.training_job_status = status  # last: who waits reads the rest after it

    def _note(self, event: str, **facts: Any) -> None:
        self._record.add(event, name=self._name, id=self._seen.arn, **facts)


class Jobs:
    """Every training job of the endpoint; takes the place of moto's calls about them."""

    def __init__(self, record: RecordWriter) -> None:
        self._record = record
        self._jobs: dict[str, TrainingJob] = {}
        self._lock = threading.Lock()
        calls: Any = SageMakerResponse
        self._create: Callable[[Any], Any] = calls.create_training_job
        calls.create_training_job = lambda response: self.create(response)
        calls.stop_training_job = lambda response: self.stop(response)

    def create(self, response: Any) -> Any:
        """``CreateTrainingJob``: a name is given once."""
        request = json.loads(response.body)
        name, backend = request["TrainingJobName"], response.sagemaker_backend
        with self._lock:
            if name in self._jobs:
                raise ResourceInUseException(
                    f"Training job names must be unique within an AWS account and region, and there is one named {name}"
                )
            answer = self._create(response)
            self._jobs[name] = TrainingJob(backend, backend.training_jobs[name], request, self._record)
        return answer

    def stop(self, response: Any) -> Any:
        """``StopTrainingJob``."""
        name = json.loads(response.body)["TrainingJobName"]
        if name not in self._jobs:
            raise AWSValidationException("Requested resource not found.")
        self._jobs[name].stop()
        return EmptyResult()

    def kill(self) -> None:
        """Leave no process behind."""
        for job in list(self._jobs.values()):
            job.kill()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True, help="a file for JSON lines")
    given = parser.parse_args()
    jobs = Jobs(RecordWriter(given.record))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(f"ready {server.get_host_and_port()[1]}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    jobs.kill()
    os._exit(0)  # requests that still wait must not keep it


if __name__ == "__main__":
    main()
