"""What the project needs of S3, which is moto's."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def s3(endpoint):
    return endpoint.client("s3")


def status(call) -> int:
    try:
        return call()["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as refused:
        return refused.response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_is_put_once(s3, name):
    def put():
        return s3.put_object(Bucket="artifacts", Key=name, Body=b"x", IfNoneMatch="*")

    assert [status(put), status(put)] == [200, 412]


def test_a_multipart_upload_is_completed_once(s3, name):
    def upload():
        made = s3.create_multipart_upload(Bucket="artifacts", Key=name)["UploadId"]
        part = s3.upload_part(Bucket="artifacts", Key=name, UploadId=made, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return s3.complete_multipart_upload(
            Bucket="artifacts", Key=name, UploadId=made, MultipartUpload=parts, IfNoneMatch="*"
        )

    assert [status(upload), status(upload)] == [200, 412]


def test_objects_are_copied_and_listed_and_deleted(s3, name):
    s3.put_object(Bucket="artifacts", Key=f"{name}/é a", Body=b"x")
    s3.copy_object(Bucket="artifacts", Key=f"{name}/b", CopySource={"Bucket": "artifacts", "Key": f"{name}/é a"})
    found = s3.list_objects_v2(Bucket="artifacts", Prefix=f"{name}/")["Contents"]
    assert [one["Key"] for one in found] == [f"{name}/b", f"{name}/é a"]
    gone = s3.delete_objects(Bucket="artifacts", Delete={"Objects": [{"Key": one["Key"]} for one in found]})
    assert len(gone["Deleted"]) == 2


def test_of_many_writers_one_wins(endpoint, name):
    """moto looks first and writes then; the endpoint lets one through at a time."""
    found = []

    def write(number: int) -> None:
        client = endpoint.client("s3")
        found.append(
            status(lambda: client.put_object(Bucket="artifacts", Key=name, Body=str(number).encode(), IfNoneMatch="*"))
        )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, *[412] * 7]


def test_calls_are_recorded(endpoint, s3, name):
    s3.put_object(Bucket="artifacts", Key=name, Body=b"x")
    call = endpoint.calls.of("PutObject")[-1]
    assert (call.service, call.params, call.principal) == ("s3", {"Bucket": "artifacts", "Key": name}, "administrator")
