"""A job as a backend would start it: a real bundle, a real context, the real bootstrap, in real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_mlx.runtime
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.runtime.lines import parse_line
from airflow_provider_mlx.runtime.wire import encode

RUNTIME = Path(airflow_provider_mlx.runtime.__file__).parent
NONCE = "0123456789abcdef"
STEP = {
    "deployment_id": "test", "dag_id": "churn", "run_id": "manual__1", "task_id": "train", "map_index": -1,
    "try_number": 1, "attempt": 2, "job": "mlx-churn-train-2",
}  # fmt: skip

SECOND_NODE = {
    "MLX_NODES": "2", "JOB_COMPLETION_INDEX": "1", "MLX_MASTER_ADDR": "127.0.0.1",
}  # fmt: skip
"""What a backend sets for one of two nodes."""


def build_bundle(path: Path, source: Mapping[str, str | bytes]) -> Path:
    """The bundle as the bundler makes it: the stub package, the runtime and ``source/…``, stored."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        bundle.write(RUNTIME / "bundle_init.py", "airflow_provider_mlx/__init__.py")
        for module in sorted(RUNTIME.glob("*.py")):
            bundle.write(module, f"airflow_provider_mlx/runtime/{module.name}")
        for name, text in source.items():
            bundle.writestr(f"source/{name}", textwrap.dedent(text) if isinstance(text, str) else text)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Finished:
    """What a job left behind."""

    status: int
    output: str
    attempt: Path

    def read(self, name: str) -> dict[str, Any]:
        path = self.attempt / name
        assert path.exists(), f"no {name}; status {self.status}, output:\n{self.output}"
        return json.loads(path.read_text())

    @property
    def result(self) -> dict[str, Any]:
        return self.read("result.json")

    @property
    def error(self) -> dict[str, Any]:
        return self.read("error.json")

    @property
    def value(self) -> Any:
        """The return value's wire form; the job must have inlined it."""
        output = self.result["outputs"]["return_value"]
        assert output["inline"], output
        return output["value"]

    @property
    def artifact(self) -> dict[str, Any]:
        return self.result["outputs"]["return_value"]["artifact"]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [line for text in self.output.splitlines() if (line := parse_line(text, NONCE))]


@dataclass
class Job:
    """Builds jobs under one root; ``run`` waits, ``start`` hands over the process."""

    root: Path
    python: str = sys.executable
    count: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def prepare(
        self,
        source: Mapping[str, str | bytes] | str,
        *,
        payload: dict[str, Any] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[list[str], Path]:
        """The job's command and its attempt's folder. A text as ``source`` is the module ``step`` with ``run``."""
        self.count += 1
        folder = self.root / f"job {self.count}"
        attempt = folder / "attempt"
        attempt.mkdir(parents=True)
        files = {"step.py": source} if isinstance(source, str) else source
        bundle = build_bundle(folder / "bundle.zip", files)
        context: dict[str, Any] = {
            "protocol": 1,
            "nonce": NONCE,
            "step": dict(STEP),
            "payload": payload or {"kind": "function", "module": "step", "function": "run"},
            "arguments": {"args": encode(list(args)), "kwargs": encode(kwargs or {})},
            "outputs": {"uri": attempt.as_uri(), "inline_bytes": 49152, "multiple": False},
            "store": {"mounts": [], "options": {}, "allowed": [self.root.as_uri()]},
            "environment": {"requirements": [], "inherit": True, "replace": [], "cache": str(self.root / "cache")},
            "heartbeat_seconds": 30.0,
            "grace_seconds": 10.0,
        }
        if change:
            change(context)
        (attempt / "context.json").write_text(json.dumps(context))
        return self.command(bundle, attempt), attempt

    def command(self, bundle: Path, attempt: Path) -> list[str]:
        return bootstrap_command(
            python=self.python, bundle_path=str(bundle), bundle_sha256=sha256(bundle),
            context=(attempt / "context.json").as_uri(), context_sha256=sha256(attempt / "context.json"),
        )  # fmt: skip

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment(),
            cwd=self.root,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        # Nothing of this checkout may leak into the job: it must live on its bundle.
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(self.scratch),
            **self.env,
        }

    @property
    def scratch(self) -> Path:
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def finish(self, command: list[str], attempt: Path) -> Finished:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment(),
            cwd=self.root, timeout=120, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, attempt)

    def run(self, source: Mapping[str, str | bytes] | str, **options: Any) -> Finished:
        return self.finish(*self.prepare(source, **options))


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    left = [entry.name for entry in made.scratch.iterdir()]
    assert left == [], "a job must leave nothing in the temporary folder"


@pytest.fixture(scope="module")
def s3(module_environment):
    """The client options of moto's S3, with the bucket ``mlx``."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    import boto3

    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="mlx")
    yield {"endpoint_url": endpoint, "region": "us-east-1"}
    server.stop()


@pytest.fixture(scope="module")
def module_environment():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        yield patch


def interpreters() -> list[str]:
    """This interpreter, and the oldest and newest others that this machine has and that start."""
    found: dict[tuple[int, int], str] = {}
    for minor in range(9, 15):
        for candidate in _candidates(minor):
            probe = subprocess.run(
                [candidate, "-c", "import sys;print(sys.version_info[1])"], capture_output=True, text=True, check=False
            )
            if probe.returncode == 0 and probe.stdout.strip() == str(minor):
                found[3, minor] = candidate
                break
    chosen = {sys.version_info[:2]: sys.executable}
    for version in (min(found, default=None), max(found, default=None)):
        if version is not None:
            chosen.setdefault(version, found[version])
    return [chosen[version] for version in sorted(chosen)]


def _candidates(minor: int) -> list[str]:
    named = shutil.which(f"python3.{minor}")
    found = [named] if named else []
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        found += [str(path) for path in sorted(Path(root, "versions").glob(f"3.{minor}.*/bin/python3"))]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", interpreters(), ids=lambda path: "python" + _version(path))


def _version(path: str) -> str:
    code = "import sys;print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([path, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
