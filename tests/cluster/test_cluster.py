"""The cluster of the tests is a real one: what is run here is what the other tests count on."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.cluster.cluster import Cluster
from tests.cluster.image_recipes import NO_PYTHON
from tests.cluster.pods import Pod, create_pod
from tests.cluster.waiting import wait_until

# What the Pod Security Standard "restricted" wants, and a root that cannot be written to beside.
RESTRICTED_POD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
}
RESTRICTED_CONTAINER = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
}
SERVE = ["python", "-m", "http.server", "8000"]


def python(code: str) -> list[str]:
    return ["python", "-c", code]


def ask(url: str) -> list[str]:
    """Prints the status of a URL's answer, as soon as there is one."""
    return python(
        f"""
import time, urllib.request as u
until = time.time() + 20
while True:
    try:
        print(u.urlopen({url!r}, timeout=2).status)
        break
    except OSError as error:
        if time.time() > until:
            raise
        time.sleep(0.2)
"""
    )


def output_of(pod: Pod) -> str:
    """What a pod printed that must end well."""
    ended = pod.wait_for_end()
    assert ended["exitCode"] == 0, pod.log()
    return pod.log()


def create(cluster: Cluster, kind: str, name: str, namespace: str, **fields: Any) -> None:
    """Create an object of a kind: ``group/version/kind``."""
    version, _, kind = kind.rpartition("/")
    metadata = {"name": name, "namespace": namespace}
    cluster.api.apply({"apiVersion": version, "kind": kind, "metadata": metadata, **fields})


@pytest.fixture
def server_on_host(cluster: Cluster) -> Iterator[str]:
    """The URL of a server of this process at the address that pods know."""
    server = http.server.ThreadingHTTPServer((cluster.host_address, 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{cluster.host_address}:{server.server_port}/"
    server.shutdown()
    thread.join()


def test_a_pod_runs_to_its_end_on_each_node_and_its_log_can_be_read(cluster: Cluster, namespace: str) -> None:
    assert len(cluster.nodes) >= 2
    for node in cluster.nodes:
        pod = create_pod(cluster, namespace, f"hello-{node}", python("print(6 * 7)"), nodeName=node)
        assert output_of(pod) == "42\n"


def test_a_pod_reaches_a_server_on_the_host(cluster: Cluster, namespace: str, server_on_host: str) -> None:
    assert output_of(create_pod(cluster, namespace, "asks", ask(server_on_host))) == "200\n"


def test_pods_of_different_nodes_reach_each_other_by_name_and_by_service(cluster: Cluster, namespace: str) -> None:
    one, other, *_ = cluster.nodes
    ports = [{"name": "http", "port": 8000}]
    selector = {"app": "server"}
    headless = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector, "ports": ports}
    create(cluster, "v1/Service", "headless", namespace, spec=headless)
    create(cluster, "v1/Service", "balanced", namespace, spec={"selector": selector, "ports": ports})
    create_pod(
        cluster, namespace, "serves", SERVE, labels=selector, nodeName=one, hostname="first", subdomain="headless"
    )
    for host in (f"first.headless.{namespace}.svc.cluster.local", "first.headless", "balanced"):
        pod = create_pod(cluster, namespace, f"asks-{host.count('.')}", ask(f"http://{host}:8000/"), nodeName=other)
        assert output_of(pod) == "200\n", host


def test_pods_of_an_indexed_job_know_each_other_by_their_numbers(cluster: Cluster, namespace: str) -> None:
    create(
        cluster, "v1/Service", "headless", namespace,
        spec={"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"job-name": "ranks"}},
    )  # fmt: skip
    look = """
import os, socket, time
until = time.time() + 20
for number in (0, 1):
    while True:
        try:
            print(socket.gethostbyname(f"ranks-{number}.headless"))
            break
        except OSError:
            assert time.time() < until
            time.sleep(0.2)
time.sleep(2)  # the other may still look
"""
    pod = {
        "restartPolicy": "Never",
        "subdomain": "headless",
        "containers": [{"name": "main", "image": cluster.image, "command": python(look)}],
    }
    spec = {
        "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimit": 0, "template": {"spec": pod}
    }  # fmt: skip
    create(cluster, "batch/v1/Job", "ranks", namespace, spec=spec)
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/ranks"
    status = wait_until("the job ends", lambda: ended_job(cluster.api.get(path)))
    assert status.get("succeeded") == 2


def ended_job(job: dict[str, Any]) -> dict[str, Any] | None:
    status: dict[str, Any] = job["status"]
    return status if any(one["type"] in {"Complete", "Failed"} for one in status.get("conditions", [])) else None


def test_a_container_over_its_memory_limit_is_killed(cluster: Cluster, namespace: str) -> None:
    limit = {"resources": {"limits": {"memory": "48Mi"}}}
    pod = create_pod(
        cluster, namespace, "greedy", python("x = [bytearray(1 << 20) for _ in range(400)]"), container=limit
    )
    ended = pod.wait_for_end()
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_gpu_is_the_pods_own_and_nine_are_too_many_for_a_node(cluster: Cluster, namespace: str) -> None:
    show = python("import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])")

    def gpus(count: int) -> dict[str, Any]:
        return {"resources": {"limits": {"nvidia.com/gpu": str(count)}}}

    seen = output_of(create_pod(cluster, namespace, "two", show, container=gpus(2))).strip().split(",")
    assert len(set(seen)) == 2
    nine = create_pod(cluster, namespace, "nine", show, container=gpus(9))
    waits = wait_until("the scheduler's word", lambda: unschedulable(nine.read()))
    assert "Insufficient nvidia.com/gpu" in waits["message"]


def unschedulable(pod: dict[str, Any]) -> dict[str, Any] | None:
    conditions: list[dict[str, Any]] = pod["status"].get("conditions", [])
    return next((one for one in conditions if one.get("reason") == "Unschedulable"), None)


def test_a_restricted_pod_runs_python_as_nobody_on_a_root_it_cannot_write(cluster: Cluster) -> None:
    namespace = cluster.new_namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"})
    code = """
import os, tempfile
print(os.getuid())
tempfile.TemporaryFile(dir="/scratch")
open("/written", "w")
"""
    pod = create_pod(
        cluster, namespace, "restricted", python(code),
        container=RESTRICTED_CONTAINER | {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
        volumes=[{"name": "scratch", "emptyDir": {}}], **RESTRICTED_POD,
    )  # fmt: skip
    assert pod.wait_for_end()["exitCode"] == 1
    assert "65532\n" in pod.log()
    assert "Read-only file system: '/written'" in pod.log()
    cluster.delete_namespace(namespace)


def test_an_image_without_python_runs_a_command(cluster: Cluster, namespace: str) -> None:
    command = ["sh", "-c", "echo $((6 * 7)); which python python3 || echo none"]
    assert output_of(create_pod(cluster, namespace, "plain", command, image=NO_PYTHON)) == "42\nnone\n"


@pytest.fixture(scope="module")
def s3_on_host(cluster: Cluster) -> Iterator[str]:
    """The URL of an S3 of this process at the address that pods know."""
    server = ThreadedMotoServer(ip_address=cluster.host_address, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


PUT_BY_BOTO3 = """
import boto3
store = boto3.client("s3", region_name="us-east-1", endpoint_url=URL, aws_access_key_id="id", aws_secret_access_key="key")
store.put_object(Bucket="pods", Key="said", Body=b"hello from boto3")
"""
PUT_BY_OBSTORE = """
import obstore.store
store = obstore.store.S3Store(
    "pods", region="us-east-1", endpoint=URL, access_key_id="id", secret_access_key="key", client_options={"allow_http": True}
)
obstore.put(store, "said", b"hello from obstore")
"""


@pytest.mark.parametrize(
    ("library", "put"),
    [pytest.param("boto3", PUT_BY_BOTO3, id="boto3"), pytest.param("obstore", PUT_BY_OBSTORE, id="obstore")],
)
def test_a_pod_puts_into_an_object_store_on_the_host_by(
    cluster: Cluster, namespace: str, s3_on_host: str, library: str, put: str
) -> None:
    here = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=s3_on_host, aws_access_key_id="id", aws_secret_access_key="key"
    )
    here.create_bucket(Bucket="pods")
    output_of(create_pod(cluster, namespace, library, python(f"URL = {s3_on_host!r}\n{put}"), image=cluster.s3_image))
    assert here.get_object(Bucket="pods", Key="said")["Body"].read().decode() == f"hello from {library}"


def test_a_folder_of_the_host_is_the_nodes_too(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    volume = {"name": "shared", "hostPath": {"path": str(tmp_path), "type": "Directory"}}
    mount = {"volumeMounts": [{"name": "shared", "mountPath": str(tmp_path)}]}
    for node in cluster.nodes:
        write = python(f"open({str(tmp_path / node)!r}, 'w').write('was here')")
        output_of(create_pod(cluster, namespace, node, write, container=mount, volumes=[volume], nodeName=node))
        assert (tmp_path / node).read_text() == "was here"


def test_pods_of_different_nodes_share_a_claim_on_a_folder_of_the_host(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    size = {"storage": "1Gi"}
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": namespace}
    host_path = {"path": str(tmp_path), "type": "Directory"}
    spec = {"capacity": size, "accessModes": ["ReadWriteMany"], "hostPath": host_path}
    cluster.api.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": spec})
    create(cluster, "v1/PersistentVolumeClaim", "shared", namespace, spec=claim | {"resources": {"requests": size}})
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    one, other, *_ = cluster.nodes
    for name, node, code in (
        ("writes", one, "open('/shared/said', 'w').write('hello')"),
        ("reads", other, "print(open('/shared/said').read())"),
    ):
        pod = create_pod(cluster, namespace, name, python(code), container=mount, volumes=volumes, nodeName=node)
        printed = output_of(pod)
    assert printed == "hello\n"
    cluster.api.delete(f"/api/v1/persistentvolumes/{namespace}")


def test_a_service_account_reaches_the_api_by_the_name_of_its_service(cluster: Cluster, namespace: str) -> None:
    code = """
import json, ssl, urllib.request as u
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
request = u.Request("https://kubernetes.default.svc/apis", headers={"Authorization": "Bearer " + open(folder + "token").read()})
print(json.load(u.urlopen(request, context=ssl.create_default_context(cafile=folder + "ca.crt"), timeout=5))["kind"])
"""
    assert output_of(create_pod(cluster, namespace, "asks", python(code))) == "APIGroupList\n"
    token = cluster.token_for("default", namespace, 600)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = cluster.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    assert status["user"]["username"] == f"system:serviceaccount:{namespace}:default"


def test_a_train_job_of_two_nodes_completes(trainer_cluster: Cluster, namespace: str) -> None:
    cluster = trainer_cluster
    container = {"name": "node", "image": cluster.image}
    template = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    create(
        cluster, "trainer.kubeflow.org/v1alpha1/TrainingRuntime", "torch", namespace,
        spec={
            "mlPolicy": {"numNodes": 2, "torch": {"numProcPerNode": "auto"}},
            "template": {"spec": {"replicatedJobs": [{"name": "node", "template": template}]}},
        },
    )  # fmt: skip
    show = python(
        "import json, os, socket; print(json.dumps([os.environ['PET_NODE_RANK'], socket.gethostbyname(os.environ['PET_MASTER_ADDR'])]))"
    )
    create(
        cluster, "trainer.kubeflow.org/v1alpha1/TrainJob", "train", namespace,
        spec={
            "runtimeRef": {"name": "torch", "kind": "TrainingRuntime"},
            "trainer": {"numNodes": 2, "command": show, "resourcesPerNode": {"limits": {"nvidia.com/gpu": "5"}}},
        },
    )  # fmt: skip
    path = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{namespace}/trainjobs/train"
    status = wait_until("the TrainJob ends", lambda: ended_job({"status": {}} | cluster.api.get(path)))
    assert [one["type"] for one in status["conditions"] if one["status"] == "True"] == ["Complete"]

    pods = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    printed = [json.loads(Pod(cluster, namespace, pod["metadata"]["name"]).log()) for pod in pods]
    assert {rank for rank, _ in printed} == {"0", "1"}
    assert len({address for _, address in printed}) == 1
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_a_train_job_without_its_runtime_is_refused_by_the_webhook(trainer_cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Exception, match=r"denied the request.*none"):
        create(
            trainer_cluster, "trainer.kubeflow.org/v1alpha1/TrainJob", "train", namespace,
            spec={"runtimeRef": {"name": "none", "kind": "TrainingRuntime"}},
        )  # fmt: skip
