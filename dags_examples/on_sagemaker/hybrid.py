"""
A processing step on SageMaker feeds a training step on Kubernetes: gigabytes by their address, never through Airflow.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Dataset, Resources


@dag(schedule=None, params={"lake": "s3://ml-lake/features", "megabytes": 2048}, tags=["mlx", "example", "sagemaker"])
def hybrid() -> None:
    """The first step writes a table of numbers to the lake, the second reads it as a stream."""

    @task.mlx(resources=Resources(cpu=2, memory="4Gi"))
    def prepare(params: dict) -> Dataset:
        import array
        import io

        import boto3

        from airflow_provider_mlx import current_step

        class Numbers(io.RawIOBase):
            """0.0, 1.0, … 1023.0 and again, made while they are read: the table is nowhere whole."""

            def __init__(self, size: int) -> None:
                self._block = array.array("d", range(1024)).tobytes() * 128
                self._left = size

            def readable(self) -> bool:
                return True

            def read(self, size: int = -1) -> bytes:
                count = min(self._left, len(self._block) if size < 0 else size // 8192 * 8192 or 8192)
                self._left -= count
                return (self._block * (count // len(self._block) + 1))[:count]

        bucket, _, folder = params["lake"].removeprefix("s3://").partition("/")
        key = f"{folder}/{current_step.run_id}/numbers.f64".replace(":", "-").replace("+", "-")
        boto3.client("s3").upload_fileobj(Numbers(int(params["megabytes"]) * 2**20), bucket, key)
        return current_step.dataset(f"s3://{bucket}/{key}", write=True)

    @task.mlx(target="cluster", resources=Resources(cpu="500m", memory="1Gi"))
    def train(table: Dataset) -> dict[str, float]:
        import array

        import boto3

        from airflow_provider_mlx import current_step

        current_step.dataset(table.uri)
        bucket, _, key = table.uri.removeprefix("s3://").partition("/")
        count, total = 0, 0.0
        for block in boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(8 * 2**20):
            numbers = array.array("d", block)
            count, total = count + len(numbers), total + sum(numbers)
        return {"rows": count, "mean": total / count}

    train(prepare())


hybrid()
