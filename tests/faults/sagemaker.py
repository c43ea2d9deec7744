"""The tests' AWS as the system behind the steps: its gate, its connections, its bucket as a folder, what it was asked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider_mlx.backends.sagemaker.names import sagemaker_name
from tests.aws.endpoint import Endpoint
from tests.aws.job_requests import processing_request, training_request

from .gate import Gate

LOOK_SECONDS: Final = 0.2
CONN_ID: Final = "faults_sagemaker"
S3_CONN_ID: Final = "faults_s3"
STACK: Final = "sagemaker"
IMAGE: Final = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3"
GRACE_SECONDS: Final = 40.0
"""Between SIGTERM and SIGKILL; AWS gives 120 s."""
_RUN_TAG: Final = "airflow-provider-mlx:run"


class SageMakerJobs:
    """
    An endpoint of AWS, reached through a gate; what it does to S3 is seen as files.

    :param folder: of the host, which every job sees under the same path.
    """

    def __init__(self, folder: Path) -> None:
        self.endpoint = Endpoint(
            bucket="faults", workers=32, shared=[folder], stop_grace_seconds=GRACE_SECONDS, checks_inputs=False
        ).start()
        self.mirror = folder / "s3"
        self.mirror.mkdir()
        self.gate = Gate(urlsplit(self.endpoint.url).port or 0)
        self._s3 = self.endpoint.client("s3")
        self._seen: dict[str, str] = {}
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror of s3", daemon=True)
        self._thread.start()

    def connections(self) -> dict[str, dict[str, Any]]:
        """SageMaker's and CloudWatch's through the gate, and that of the artifact root beside it."""
        through_the_gate = self.endpoint.connection(endpoint_url=f"http://127.0.0.1:{self.gate.port}")
        return {CONN_ID: through_the_gate, S3_CONN_ID: self.endpoint.connection()}

    def targets(self) -> dict[str, dict[str, Any]]:
        """None in a stack whose artifact root is a folder."""
        return {}

    def stacks(self, limits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """One whose artifact root is in S3."""
        common = {"backend": "sagemaker", "conn_id": CONN_ID, "image": IMAGE, "role_arn": self.endpoint.role_arn}
        targets = {
            f"{kind}{suffix}": {**common, "kind": kind, "max_runtime": limit}
            for kind in ("training", "processing")
            for suffix, limit in limits.items()
        }
        return {STACK: {"artifacts": {"root": "s3://faults", "conn_id": S3_CONN_ID}, "targets": targets}}

    def created(self, run_id: str) -> int:
        """How many jobs of a run were made."""
        return len(self._names(run_id))

    def stops(self, run_id: str) -> int:
        """How many of them were asked to stop."""
        asked = {name for call in self._of("Stop") if (name := self._name(call.params))}
        return len(self._names(run_id) & asked)

    def take_name(self, name: str, target: str, seconds: int) -> None:
        """Make somebody else's job under a name."""
        make = training_request if target == "training" else processing_request
        request = make(self.endpoint, sagemaker_name(name), f"import time\ntime.sleep({seconds})\n")
        getattr(self.endpoint.client("sagemaker"), f"create_{target}_job")(**request)

    def is_untouched(self, name: str, target: str) -> bool:
        """Whether that job goes on; it is stopped then."""
        client, word = self.endpoint.client("sagemaker"), target.capitalize()
        named = {f"{word}JobName": sagemaker_name(name)}
        status = getattr(client, f"describe_{target}_job")(**named)[f"{word}JobStatus"]
        getattr(client, f"stop_{target}_job")(**named)
        return bool(status == "InProgress")

    def look(self) -> None:
        """Bring the mirror up to date."""
        with self._looking:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket="faults"):
                for item in page.get("Contents", ()):
                    if self._seen.get(item["Key"]) != item["ETag"]:
                        with contextlib.suppress(self._s3.exceptions.NoSuchKey):  # it was removed just now
                            self._bring(item["Key"])
                            self._seen[item["Key"]] = item["ETag"]

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self._thread.join(10)
        self.gate.close()
        self.endpoint.stop()

    def _bring(self, key: str) -> None:
        path = self.mirror / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(self._s3.get_object(Bucket="faults", Key=key)["Body"].read())
        draft.replace(path)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # an object that was removed just now
                continue

    def _names(self, run_id: str) -> set[str]:
        found = set()
        for call in self._of("Create"):
            tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags", ())}
            if tags.get(_RUN_TAG) == run_id and self._made(name := self._name(call.params), tags):
                found.add(name)
        return found

    def _made(self, name: str, tags: dict[str, str]) -> bool:
        """Whether a call has made the job of its name: it may have been refused, or the name be somebody else's."""
        try:
            made = self.endpoint.job(name).request
        except KeyError:
            return False
        return tags == {tag["Key"]: tag["Value"] for tag in made.get("Tags", ())}

    def _of(self, verb: str) -> list[Any]:
        return [
            call for kind in ("Training", "Processing") for call in self.endpoint.calls.of(f"{verb}{kind}Job")
        ]  # fmt: skip

    def _name(self, params: Any) -> str:
        return str(params.get("TrainingJobName") or params.get("ProcessingJobName") or "")
