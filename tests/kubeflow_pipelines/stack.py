"""
The API server of Kubeflow Pipelines and what it needs, as plain processes: a Kubernetes API without nodes, MariaDB, S3.

Nothing runs a Workflow here: a run is PENDING until somebody reports its Workflow (:meth:`.server.Server.report`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import httpx

from tests.cluster.binaries import KUBERNETES, built
from tests.cluster.cluster import OwnCluster, take_down
from tests.cluster.network import free_ports
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until

from .api_server import COMMIT, VERSION, built_api_server
from .database import NAME, PROCESS, start_database, unpacked_database
from .kinds import apply_kinds

LOOPBACK = "127.0.0.1"
API_SERVER = "api-server"
OBJECT_STORE = "object-store"
NAMESPACE = "kubeflow"
SERVICE_ACCOUNT = "pipeline-runner"
USER_HEADER = "kubeflow-userid"
"""By which a server with several users knows who asks, as Kubeflow's gateway tells it."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Facts:
    """
    A running stack, for whoever did not start it: its ports, and whether it knows users.

    :param host: where its object store is.
    """

    http: int
    rpc: int
    database: int
    objects: int
    multi_user: bool = False
    host: str = LOOPBACK


class Stack:
    """
    What runs in a folder; whoever knows the folder has all of it.

    :cvar nodes: of its cluster; with some, pods reach the object store.
    """

    nodes: ClassVar[int] = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(folder)
        self.facts = Facts(**json.loads((folder / "stack.json").read_text()))
        self.cluster = OwnCluster(folder / "cluster")

    @classmethod
    def up(cls, folder: Path, *, multi_user: bool = False, used_by_me: bool = False) -> Self:
        """
        Start one, which begins empty.

        :param multi_user: it asks who calls (``kubeflow-userid``), and what that user may do in a namespace.
        :param used_by_me: see :meth:`.OwnCluster.up`.
        :raises PartMissing: something is not built.
        :raises ClusterFailed: a part did not come up; what had is ended again.
        """
        built(KUBERNETES), built_api_server(), unpacked_database()
        folder = folder.absolute()
        shutil.rmtree(folder / "database", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        processes = Processes(folder)
        facts = Facts(*free_ports(LOOPBACK, 4), multi_user=multi_user)
        try:
            with ThreadPoolExecutor() as pool:
                cluster = pool.submit(OwnCluster.up, folder / "cluster", nodes=cls.nodes, used_by_me=used_by_me)
                start_database(processes, folder, facts.database)
                if cls.nodes:
                    facts = dataclasses.replace(facts, host=cluster.result().host_address)
                _start_object_store(processes, facts)
                _prepare(cluster.result())
            (folder / "stack.json").write_text(json.dumps(dataclasses.asdict(facts)))
            stack = cls(folder)
            stack._start_api_server()
        except BaseException:
            take_stack_down(folder)
            raise
        return stack

    @property
    def address(self) -> str:
        """Of the API server itself."""
        return f"http://{LOOPBACK}:{self.facts.http}"

    def kill_api_server(self) -> None:
        """End it at once; it ignores SIGTERM anyway."""
        self.processes.stop([API_SERVER], number=signal.SIGKILL)

    def start_api_server_again(self) -> None:
        """Start one that was killed, on the same ports and the same state."""
        self._start_api_server()

    def down(self) -> None:
        """End all of it; its logs stay."""
        take_stack_down(self.folder)

    def _start_api_server(self) -> None:
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        (config / "config.json").write_text(json.dumps(_config(self.facts), indent=1))
        samples = self.folder / "samples.json"
        samples.write_text(json.dumps({"pipelines": [], "loadSamplesOnRestart": False}))
        command = [
            built_api_server(),
            f"--config={config}",
            f"--sampleconfig={samples}",
            f"--httpPortFlag={LOOPBACK}:{self.facts.http}",
            f"--rpcPortFlag=:{self.facts.rpc}",  # it puts "localhost" before it to reach itself
            "--logtostderr=true",
        ]
        self.processes.start(API_SERVER, command, self._environment())
        wait_until("the API server of Kubeflow Pipelines", self._is_healthy)

    def _environment(self) -> dict[str, str]:
        several = {"MULTIUSER": "true", "KUBEFLOW_USERID_HEADER": USER_HEADER, "KUBEFLOW_USERID_PREFIX": ""}
        return {
            "KUBECONFIG": str(self.cluster.kubeconfig), "POD_NAMESPACE": NAMESPACE, "TAG_NAME": VERSION,
            "COMMIT_SHA": COMMIT, **(several if self.facts.multi_user else {}),
            # it will not start without the address of a service that it asks for charts alone
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": LOOPBACK,
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "1",
            # a proxy is passed on to pods, and is in their Workflows
            **{name: "" for one in _PROXIES for name in (one, one.lower()) if name in os.environ},
        }  # fmt: skip

    def _is_healthy(self) -> bool:
        self.processes.must_live(API_SERVER)
        # its two services answer: the gateway, and what is behind it
        answer = httpx.get(f"{self.address}/apis/v2beta1/experiments?page_size=1", timeout=5, trust_env=False)
        return answer.status_code < 500


@contextlib.contextmanager
def running_stack(folder: Path | None = None, *, multi_user: bool = False) -> Iterator[Stack]:
    """A stack as long as the block lasts, in a temporary folder if none is given."""
    with contextlib.ExitStack() as held:
        if folder is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="mlx-kubeflow-"))) / "state"
        stack = Stack.up(folder, multi_user=multi_user, used_by_me=True)
        held.callback(stack.down)
        yield stack


def take_stack_down(folder: Path) -> None:
    """End whatever of a stack is there, even half of one."""
    processes = Processes(folder)
    processes.stop(list(processes.known()), number=signal.SIGKILL)
    take_down(folder / "cluster")
    shutil.rmtree(folder / "database", ignore_errors=True)
    (folder / "stack.json").unlink(missing_ok=True)


def _start_object_store(processes: Processes, facts: Facts) -> None:
    processes.start(
        OBJECT_STORE, [sys.executable, "-m", "moto.server", "-H", facts.host, "-p", str(facts.objects)],
        # or it takes the first part of `minio-service.kubeflow` for a bucket
        {"PYTHONSAFEPATH": "1", "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"},
    )  # fmt: skip
    for name, host, port in ((PROCESS, LOOPBACK, facts.database), (OBJECT_STORE, facts.host, facts.objects)):
        wait_until(name, lambda name=name, host=host, port=port: _listens(processes, name, host, port))


def _listens(processes: Processes, name: str, host: str, port: int) -> bool:
    processes.must_live(name)
    with socket.create_connection((host, port), timeout=1):
        return True


def _prepare(cluster: OwnCluster) -> None:
    """What an installation of Kubeflow Pipelines brings: its kinds, its namespace, the account of its pods."""
    apply_kinds(cluster.api)
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SERVICE_ACCOUNT, "namespace": NAMESPACE}}
    )


def _config(facts: Facts) -> dict[str, object]:
    """``backend/src/apiserver/config/config.json`` of 2.14.3, with our addresses."""
    database = {"Host": LOOPBACK, "Port": str(facts.database), "User": "root", "Password": "", "DBName": NAME}
    return {
        "DBConfig": {"MySQLConfig": {**database, "GroupConcatMaxLen": "4194304"}, "ConMaxLifeTime": "120s"},
        "ObjectStoreConfig": {
            "Host": facts.host, "Port": str(facts.objects), "Region": "us-east-1", "AccessKey": "minio",
            "SecretAccessKey": "minio123", "BucketName": "mlpipeline", "PipelinePath": "pipelines", "Secure": False,
        },
        "DBDriverName": "mysql", "InitConnectionTimeout": "1m", "CacheEnabled": "true",
        # upstream has a slash before it, by which the server finds nothing
        "ARCHIVE_CONFIG_LOG_FILE_NAME": "main.log", "ARCHIVE_CONFIG_LOG_PATH_PREFIX": "artifacts",
        "DEFAULTPIPELINERUNNERSERVICEACCOUNT": SERVICE_ACCOUNT, "CRON_SCHEDULE_TIMEZONE": "UTC",
    }  # fmt: skip
