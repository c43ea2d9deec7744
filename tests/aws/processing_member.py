"""
One instance of a processing job.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html (configuration), byoc-run-image.html
(the command) and byoc-metadata.html (the exit message).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from .jobs import REASON_LENGTH
from .members import Member, push
from .processing import ProcessingJob
from .transfers import Mirror, TransferFailed, download


class ProcessingMember(Member):
    """One instance of a processing job."""

    job: ProcessingJob
    # build-your-own-processing-container.html: "SIGINT and SIGKILL signals, which Processing uses to stop processing jobs"
    stop_signal = signal.SIGINT

    @property
    def image(self) -> str:
        """Of the application."""
        image: str = self.job.request["AppSpecification"]["ImageUri"]
        return image

    @property
    def isolated(self) -> bool:
        """API_NetworkConfig."""
        return bool(self.job.request.get("NetworkConfig", {}).get("EnableNetworkIsolation"))

    def prepare(self) -> None:
        """Inputs and configuration; folders of outputs "exist when your container's entrypoint is invoked"."""
        request, place = self.job.request, self.place
        (place.ml / "output").mkdir(parents=True)
        self.write_json("/opt/ml/config/processingjobconfig.json", job_configuration(self.job))
        names = [host.name for host in place.hosts]
        self.write_json("/opt/ml/config/resourceconfig.json", {"current_host": place.host.name, "hosts": names})
        for given in request.get("ProcessingInputs", []):
            source = given["S3Input"]
            download(self.objects, source, self.path(source["LocalPath"]), host=place.index, hosts=len(place.hosts))
        for output in self._outputs():
            self.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
            if output["S3UploadMode"] == "Continuous":
                self.mirrors.append(self._mirror(output))

    def command(self) -> list[str]:
        """``docker run --entry-point [ContainerEntrypoint] [ImageUri] [ContainerArguments]``: byoc-run-image.html"""
        app = self.job.request["AppSpecification"]
        if "ContainerEntrypoint" not in app:
            raise TransferFailed("ClientError: this endpoint has no images: a job needs ContainerEntrypoint")
        return [*app["ContainerEntrypoint"], *app.get("ContainerArguments", [])]

    def environment(self) -> dict[str, str]:
        """What the request says: the page knows of no variable of the platform's."""
        return dict(self.job.request.get("Environment", {}))

    def upload_outputs(self) -> None:
        """
        Upload the outputs that are for the end of the job.

        :raises TransferFailed: they may not be put there.
        """
        for output in self._outputs():
            if output["S3UploadMode"] == "EndOfJob":
                push(self._mirror(output))

    def _outputs(self) -> list[dict[str, Any]]:
        return [output["S3Output"] for output in self.job.request.get("ProcessingOutputConfig", {}).get("Outputs", [])]

    def _mirror(self, output: dict[str, Any]) -> Mirror:
        return Mirror(self.objects, self.path(output["LocalPath"]), output["S3Uri"])


def exit_message(members: Sequence[ProcessingMember]) -> str:
    """
    What all containers left in ``/opt/ml/output/message``, together at most 1 KB (byoc-metadata.html).

    :raises TransferFailed: it is not UTF-8, which fails the job.
    """
    said = b""
    for member in members:
        file = member.place.ml / "output" / "message"
        if file.is_file():
            said += file.read_bytes()
    try:
        said.decode()
    except UnicodeDecodeError:
        raise TransferFailed("ClientError: The exit message is not UTF-8 encoded") from None
    return said[:REASON_LENGTH].decode(errors="ignore")


def job_configuration(job: ProcessingJob) -> dict[str, Any]:
    """``processingjobconfig.json``: what was asked for, with what AWS fills in; what was not is null."""
    request = job.request
    resources, outputs = request["ProcessingResources"]["ClusterConfig"], request.get("ProcessingOutputConfig", {})
    unset = {"S3DataDistributionType": "FullyReplicated", "S3InputMode": "File", "S3CompressionType": "None"}
    inputs = [{**given, "S3Input": {**unset, **given["S3Input"]}} for given in request.get("ProcessingInputs", [])]
    return {
        "ProcessingJobArn": job.arn, "ProcessingJobName": job.name, "RoleArn": job.principal.role_arn,
        "AppSpecification": {"ContainerEntrypoint": None, "ContainerArguments": None, **request["AppSpecification"]},
        "Environment": request.get("Environment", {}), "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"KmsKeyId": None, "Outputs": [], **outputs},
        "ProcessingResources": {"ClusterConfig": {"VolumeKmsKeyId": None, "InstanceCount": 1, **resources}},
        "StoppingCondition": {"MaxRuntimeInSeconds": job.max_runtime_seconds},
    }  # fmt: skip
