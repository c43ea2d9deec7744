"""
One instance of a training job.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html (what is given) and
your-algorithms-training-algo-output.html (what is taken).
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Sequence
from typing import Any, Final

from .errors import AwsError
from .members import Member, push, upload_failed
from .objects import split_uri
from .training import TrainingJob
from .transfers import Mirror, TransferFailed, archive, download, files_of

CHECKPOINTS: Final = "/opt/ml/checkpoints"
"""API_CheckpointConfig: the default of LocalPath."""
FAILURE_LENGTH: Final = 1024


class TrainingMember(Member):
    """One instance of a training job."""

    job: TrainingJob

    @property
    def image(self) -> str:
        """Of the algorithm."""
        image: str = self._algorithm["TrainingImage"]
        return image

    @property
    def _algorithm(self) -> dict[str, Any]:
        algorithm: dict[str, Any] = self.job.request["AlgorithmSpecification"]
        return algorithm

    def prepare(self) -> None:
        """Channels, their configuration, and the checkpoints of whoever ran before."""
        request, place = self.job.request, self.place
        for folder in ("model", "output/data", "input/data", "code"):
            (place.ml / folder).mkdir(parents=True, exist_ok=True)
        hyperparameters = request.get("HyperParameters", {})
        self.write_json("/opt/ml/input/config/hyperparameters.json", hyperparameters)
        self.write_json("/opt/ml/input/config/resourceconfig.json", self._resources())
        self.write_json("/opt/ml/input/config/inputdataconfig.json", self._channels())
        for channel in request.get("InputDataConfig", []):
            self._check_fast_file(channel)
            download(
                self.objects, channel["DataSource"]["S3DataSource"],
                place.ml / "input" / "data" / channel["ChannelName"], host=place.index, hosts=len(place.hosts),
                seed=channel.get("ShuffleConfig", {}).get("Seed"),
            )  # fmt: skip
        if config := request.get("CheckpointConfig"):
            mirror = Mirror(self.objects, self.path(config.get("LocalPath", CHECKPOINTS)), config["S3Uri"])
            self._pull(mirror)
            self.mirrors.append(mirror)

    def command(self) -> list[str]:
        """
        The entrypoint, or what the toolkit in AWS's framework images makes of ``sagemaker_program``.

        The toolkit: https://github.com/aws/sagemaker-training-toolkit#readme. Values of hyperparameters are JSON.
        """
        algorithm, hyperparameters = self._algorithm, self.job.request.get("HyperParameters", {})
        if "ContainerEntrypoint" in algorithm:
            return [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        if "sagemaker_program" not in hyperparameters:
            raise TransferFailed(
                "ClientError: this endpoint has no images: a job needs ContainerEntrypoint or sagemaker_program"
            )
        self._unpack_code(_parsed(hyperparameters["sagemaker_submit_directory"]))
        command = ["python", f"/opt/ml/code/{_parsed(hyperparameters['sagemaker_program'])}"]
        for name, value in sorted(hyperparameters.items()):
            if not name.startswith("sagemaker_"):
                command += [f"--{name}", str(_parsed(value))]
        return command

    def environment(self) -> dict[str, str]:
        """``SM_…`` variables come from the toolkit in framework images: other containers have none."""
        given = {"TRAINING_JOB_NAME": self.job.name, "TRAINING_JOB_ARN": self.job.arn}
        if "ContainerEntrypoint" not in self._algorithm:
            channels = sorted(self._channels())
            given |= {
                "SM_MODEL_DIR": "/opt/ml/model", "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
                "SM_INPUT_DIR": "/opt/ml/input", "SM_CHANNELS": json.dumps(channels), "SM_NUM_GPUS": "0",
                "SM_HOSTS": json.dumps([host.name for host in self.place.hosts]),
                "SM_CURRENT_HOST": self.place.host.name,
                **{f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in channels},
            }  # fmt: skip
        return {**given, **self.job.request.get("Environment", {})}

    def read_line(self, line: str) -> None:
        """API_MetricDefinition: the first group of its regular expression is the value."""
        for metric in self._algorithm.get("MetricDefinitions", []):
            if found := re.search(metric["Regex"], line):
                try:
                    self.job.measured(metric["Name"], float(found[1]))
                except (ValueError, IndexError):
                    continue

    def _resources(self) -> dict[str, Any]:
        names = [host.name for host in self.place.hosts]
        kind = self.job.request["ResourceConfig"]["InstanceType"]
        return {
            "current_host": self.place.host.name, "current_instance_type": kind,
            "current_group_name": "homogeneousCluster", "hosts": names, "network_interface_name": "lo",
            "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": names}],
        }  # fmt: skip

    def _channels(self) -> dict[str, Any]:
        """What is written to ``inputdataconfig.json``: of a FastFile channel "File"."""
        mode = self._algorithm["TrainingInputMode"]
        out = {}
        for channel in self.job.request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            out[channel["ChannelName"]] = {
                "TrainingInputMode": "Pipe" if channel.get("InputMode", mode) == "Pipe" else "File", "RecordWrapperType": "None",
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }  # fmt: skip
        return out

    @property
    def read_only(self) -> list[str]:
        """Of FastFile: "The channel directory is mounted as read-only"."""
        return [
            f"/opt/ml/input/data/{channel['ChannelName']}"
            for channel in self.job.request.get("InputDataConfig", [])
            if channel.get("InputMode", self._algorithm["TrainingInputMode"]) == "FastFile"
        ]

    def _check_fast_file(self, channel: dict[str, Any]) -> None:
        """
        Of FastFile: "S3Uri prefixes must not correspond to a partial folder name", and ``train-01`` is one as ``train`` is.

        Where SageMaker refuses them the page does not say; whole keys it does not mention. (Objects are downloaded here,
        and not streamed.)
        """
        if f"/opt/ml/input/data/{channel['ChannelName']}" not in self.read_only:
            return
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = split_uri(uri)
        if prefix and not prefix.endswith("/") and prefix not in self.objects.keys(bucket, prefix):
            raise TransferFailed(f"ClientError: Data download failed: FastFile mode: {uri} is a partial folder name")

    def _pull(self, mirror: Mirror) -> None:
        try:
            mirror.pull()
        except AwsError as refused:
            raise TransferFailed(
                f"ClientError: Data download failed:{refused.code} ({refused.status}): {refused.message}"
            ) from None

    def _unpack_code(self, uri: str) -> None:
        try:
            data = self.objects.read(*split_uri(uri))
        except AwsError as refused:  # in AWS it is the toolkit that fails here, in the container
            raise TransferFailed(f"AlgorithmError: framework error: {refused.code}: {uri}, exit code: 1") from None
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(self.place.ml / "code", filter="data")


def upload_results(members: Sequence[TrainingMember]) -> bool:
    """
    Upload what all instances wrote for S3; is there a model?

    Compressed, ``model.tar.gz`` and ``output.tar.gz`` are one archive each; with CompressionType NONE the files lie under
    ``output/model/`` and ``output/data/``. The page says only that "model and data outputs" are uploaded
    "as uncompressed files" (model-train-storage-uncompressed.html); the two names are what users report.
    An empty folder uploads nothing (https://github.com/aws/sagemaker-python-sdk/issues/3455).

    :raises TransferFailed: it may not be put there.
    """
    job, objects = members[0].job, members[0].objects
    target = job.request["OutputDataConfig"]
    base = f"{target['S3OutputPath'].rstrip('/')}/{job.name}/output"
    models = [member.place.ml / "model" for member in members]
    data = [member.place.ml / "output" / "data" for member in members]
    for folders, name, plain in ((models, "model.tar.gz", "model"), (data, "output.tar.gz", "data")):
        if not any(files_of(folder) for folder in folders):
            continue
        if target.get("CompressionType") == "NONE":
            for folder in folders:
                push(Mirror(objects, folder, f"{base}/{plain}"))
            continue
        try:
            objects.write(*split_uri(f"{base}/{name}"), archive(folders))
        except AwsError as refused:
            raise upload_failed(refused) from None
    return any(files_of(folder) for folder in models)


def failure_reason(member: TrainingMember, code: int) -> str:
    """
    Why a container failed: its failure file, at most 1,024 characters with what SageMaker writes around it.

    A script that the toolkit started and that left no file has the toolkit's.
    """
    file = member.place.ml / "output" / "failure"
    text = file.read_text(errors="replace") if file.is_file() else ""
    if not text and "ContainerEntrypoint" not in member.job.request["AlgorithmSpecification"]:
        text = f'ExecuteUserScriptError:\nExitCode {code}\nErrorMessage ""\nCommand "{" ".join(member.command())}"'
    after = f", exit code: {code}"
    return f"AlgorithmError: {text[: FAILURE_LENGTH - len(after) - 16]}{after}"


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
