"""
One job is one folder under ``work_dir/jobs`` and one process that a small launcher watches.

::

    jobs/<job name>/
      request.json   create-only: the name is taken
      lease.json     create-only, by the launcher: host, boot, pid and start time of the one that runs it
      process.json   the same of the job's first process, which may outlive a launcher that was killed
      log.txt        what the job prints
      stopped        a stop was asked for
      exit.json      the exit status
      work/          the job's working folder

A job is adopted only where host, boot and start time agree; otherwise it is lost, and that is definite.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from airflow_provider_mlx.backends.base import (
    Backend,
    FoundJob,
    JobHandle,
    JobStatus,
    JobView,
    LogChunk,
    State,
    TargetSettings,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured, Problem
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.runtime.protocol import CHECKPOINTS_FOLDER, Mount, StoreAccess
from airflow_provider_mlx.runtime.uris import is_within, join, split_uri
from airflow_provider_mlx.step.spec import JobSpec, request_digest

from . import launcher
from .checkpoints import Checkpoints
from .launcher import EXIT, LEASE, LOG, PROCESS, REQUEST, STOPPED, create
from .process import identify
from .wheels import wheelhouse_problems, wheels_to_bring

_LEASE_SECONDS: Final = 30.0
_REAP_SECONDS: Final = 5.0
_CHUNK_BYTES: Final = 1024 * 1024
_DRAFT: Final = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""What a job that was killed was writing: ``runtime/store.py`` names it so until it is whole."""

_LAUNCHED: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""The launchers that this process started, so that it can reap them."""

PASSED_ON: Final = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "LD_LIBRARY_PATH",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NVIDIA_VISIBLE_DEVICES",
        "CUDA_VISIBLE_DEVICES", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_FIND_LINKS", "PIP_NO_INDEX",
        "PIP_TRUSTED_HOST", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_CACHE_DIR",
        "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE", "XDG_CACHE_HOME",
    }
)  # fmt: skip
"""Environment variables of the worker that a job sees. An allowlist: none of Airflow's own is on it."""


class LocalSettings(TargetSettings):
    """
    The keys of a ``backend: local`` target.

    :param work_dir: folder for jobs and environments, on a disk of this host.
    :param inherit_packages: a step with requirements also sees the packages of the interpreter.
    :param pass_env: further environment variables of the worker that jobs see.
    """

    work_dir: str = ""
    inherit_packages: bool = False
    pass_env: tuple[str, ...] = ()


class LocalBackend(Backend):
    """Runs jobs as processes of this host."""

    name = "local"
    settings_model = LocalSettings
    defers = False
    needs_deployment_id = False
    settings: LocalSettings
    cannot: ClassVar[Mapping[str, str]] = {
        "gpu": "a process of the worker cannot reserve a GPU → use a target on a cluster, or `on_unsupported: warn`",
        "nodes": "there is one host → use a target that runs TrainJobs or SageMaker training jobs",
        "launcher": "torchrun needs a cluster's rendezvous → use a target that runs TrainJobs",
        "spot": "there is nothing to take back → leave spot out",
        "shm": "/dev/shm is the host's own → leave shm out",  # noqa: S108
        "disk": "the disk is the host's own → leave disk out",
        "priority": "there is no queue → leave priority out",
        "max_queue": "there is no queue: a job starts at once → leave it out",
        "give_up_pending_after": "there is no queue: a job starts at once → leave it out",
        "on_demand_fallback": "there is no spot → leave it out",
        "command": "a container command needs a container runtime → use a kubernetes target, or make it a script step",
        "image": "a process has no image → use a kubernetes target, or `requirements=`",
    }

    def view(self, spec: JobSpec, root: str) -> JobView:
        """A store that is not a file system is brought to the job and taken from it by the worker."""
        copy = Mount(uri=root, path=str(self._folder(spec.name) / "store"), mirrored=True)
        return JobView(
            store=StoreAccess(mounts=[] if split_uri(root)[0] == "file" else [copy]),
            inherit_packages=self.settings.inherit_packages,
            environment_cache=str(self._work_dir / "environments"),
        )

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request: what to run, from which objects, under which limits. Paths are this host's own."""
        limits: dict[str, int] = {}
        if spec.resources.memory_bytes is not None:
            limits["memory_bytes"] = spec.resources.memory_bytes
        if spec.resources.cpu_cores is not None:
            limits["cpus"] = max(1, math.ceil(spec.resources.cpu_cores))
        return {
            "name": spec.name,
            "bundle": _object(spec.bundle),
            "context": _object(spec.context),
            "inputs": [_object(item) for item in spec.inputs],
            "outputs_uri": spec.outputs_uri,
            "python": spec.python or "",
            "env": dict(sorted(spec.env.items())),
            "secrets": {name: dict(reference) for name, reference in sorted(spec.secrets.items())},
            "limits": limits,
        }

    def problems(self, spec: JobSpec) -> list[Problem]:
        """References to secrets that a local job cannot have."""
        return [
            Problem(
                f"{dict(reference)} is not a secret that a local job can read",
                "in the target, map the name to `{env: NAME}` (of the worker) or `{file: /path}`",
                field=f"secrets[{variable!r}]",
            )
            for variable, reference in spec.secrets.items()
            if list(reference) not in (["env"], ["file"])
        ] + wheelhouse_problems(spec)

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Take the name, bring the objects, start the launcher, wait for its lease."""
        folder = self._folder(request["name"])
        (folder / "work").mkdir(parents=True, exist_ok=True)
        stored = dict(request) | {"argv": self._argv(request, folder), "digest": request_digest(request)}
        if not create(folder / REQUEST, json.dumps(stored, indent=1)):
            found = json.loads((folder / REQUEST).read_text())
            if found["digest"] != stored["digest"]:
                raise JobConflict(
                    f"the job {request['name']} exists and was made from another request",
                    remedy=f"look at {folder}; if it is not needed any more, remove it",
                )
        if not (folder / LEASE).exists():
            self._bring(request, folder)
            if (checkpoints := self._checkpoints(request, folder)) is not None:
                checkpoints.bring(self.store)
            self._launch(request, folder)
        return JobHandle(self.name, request["name"], location={"folder": str(folder)})

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """Read the job's folder, and ask the operating system about its process."""
        folder = Path(location["folder"]) if location else self._folder(name)
        request, lease = _read(folder / REQUEST), _read(folder / LEASE)
        if request is None or lease is None:
            return None
        status = self._status(folder, lease)
        handle = JobHandle(self.name, name, location={"folder": str(folder)})
        return FoundJob(handle, status, request["digest"])

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """Whole lines from the log file; the cursor is a byte offset."""
        offset, folder = int(cursor or 0), self._folder_of(handle)
        ended = (folder / EXIT).exists()  # before the log is read: it may grow in between
        try:
            with (folder / LOG).open("rb") as log:
                log.seek(offset)
                data = log.read(_CHUNK_BYTES)
        except FileNotFoundError:
            return LogChunk((), cursor)
        complete = data.rfind(b"\n") + 1
        if not complete and len(data) == _CHUNK_BYTES:
            complete = _whole_characters(data)  # a line of a megabyte is handed on in pieces
        elif not complete and ended:
            complete = len(data)  # the last line had no end
        if not complete:
            return LogChunk((), str(offset))
        # Only a line feed ends a line: `splitlines` would also cut at form feeds and Unicode's own separators.
        text = data[:complete].decode(errors="replace").removesuffix("\n")
        return LogChunk(tuple(text.split("\n")), str(offset + complete))

    def cancel(self, handle: JobHandle) -> None:
        """Mark the job as stopped and send SIGTERM to its launcher, which hands it on."""
        folder = self._folder_of(handle)
        lease = _read(folder / LEASE)
        if lease is None or (folder / EXIT).exists():
            return
        create(folder / STOPPED, "{}")
        process = lease if self._alive(lease) else _read(folder / PROCESS)
        if process is not None and self._alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)

    def tend(self, handle: JobHandle) -> None:
        """Store what a running job checkpoints in its copy of the store."""
        folder = self._folder_of(handle)
        request = _read(folder / REQUEST)
        if request is not None and (checkpoints := self._checkpoints(request, folder)) is not None:
            checkpoints.keep(self.store)

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """Upload what a job wrote under a store that was brought to it; the result last, then its checkpoints."""
        folder = self._folder_of(handle)
        if not (folder / "store").is_dir():
            return
        mine = Path(_staged(request["outputs_uri"], request, folder))
        files = sorted(path for path in mine.rglob("*") if path.is_file()) if mine.is_dir() else []
        for path in sorted(files, key=lambda path: path.name in ("result.json", "error.json")):
            if path.name != "context.json" and not _DRAFT.fullmatch(path.name):
                self.store.upload(path, join(request["outputs_uri"], path.relative_to(mine).as_posix()))
        if (checkpoints := self._checkpoints(request, folder)) is not None:
            checkpoints.finish(self.store)

    def forget(self, handle: JobHandle) -> None:
        """Remove the job's folder, and reap its launcher if it is a child of this process."""
        folder = self._folder_of(handle)
        lease, request = _read(folder / LEASE), _read(folder / REQUEST)
        if request is not None and (checkpoints := self._checkpoints(request, folder)) is not None:
            checkpoints.forget()
        launched = _LAUNCHED.pop(lease["pid"], None) if lease else None
        if launched is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                launched.wait(_REAP_SECONDS)  # it has written the exit status and is about to end
        shutil.rmtree(folder, ignore_errors=True)

    @property
    def _work_dir(self) -> Path:
        if self.settings.work_dir:
            return Path(self.settings.work_dir).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "airflow-provider-mlx"

    def _folder(self, name: str) -> Path:
        return self._work_dir / "jobs" / name

    def _folder_of(self, handle: JobHandle) -> Path:
        """A handle that was made from a name alone has no location yet."""
        return Path(handle.location["folder"]) if handle.location else self._folder(handle.name)

    def _checkpoints(self, request: Mapping[str, Any], folder: Path) -> Checkpoints | None:
        """Where they lie, of a job that has a copy of the store; elsewhere its folder is the store's own."""
        context = Path(_staged(request["context"]["uri"], request, folder))
        if not context.is_relative_to(folder) or not context.is_file():
            return None
        return Checkpoints.of(context, context.parent.parent / CHECKPOINTS_FOLDER)

    def _argv(self, request: Mapping[str, Any], folder: Path) -> list[str]:
        return bootstrap_command(
            python=request["python"] or sys.executable,
            bundle_path=_staged(request["bundle"]["uri"], request, folder),
            bundle_sha256=request["bundle"]["sha256"],
            context=_staged(request["context"]["uri"], request, folder),
            context_sha256=request["context"]["sha256"],
        )

    def _bring(self, request: Mapping[str, Any], folder: Path) -> None:
        for item in (request["bundle"], request["context"], *request["inputs"]):
            path = Path(_staged(item["uri"], request, folder))
            self._bring_object(item["uri"], path, folder)
        context = _read(Path(_staged(request["context"]["uri"], request, folder))) or {}
        for uri in wheels_to_bring(self.store, context):
            self._bring_object(uri, Path(_staged(uri, request, folder)), folder)

    def _bring_object(self, uri: str, path: Path, folder: Path) -> None:
        if path.is_relative_to(folder) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            self.store.download(uri, draft)
            draft.replace(path)

    def _launch(self, request: Mapping[str, Any], folder: Path) -> None:
        env = {key: value for key, value in os.environ.items() if _passed_on(key, self.settings.pass_env)}
        env |= request["env"] | {name: _secret(name, reference) for name, reference in request["secrets"].items()}
        with (folder / "launcher.log").open("ab") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-S", str(Path(launcher.__file__)), str(folder)],
                env=env, stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints, start_new_session=True,
            )  # fmt: skip
        _LAUNCHED[process.pid] = process
        until = time.monotonic() + _LEASE_SECONDS
        while not (folder / LEASE).exists():
            if process.poll() is not None and not (folder / LEASE).exists():
                said = (folder / "launcher.log").read_text(errors="replace")[-500:]
                raise JobMisconfigured(f"the local job {request['name']} could not be started: {said}")
            if time.monotonic() > until:
                raise BackendUnavailable(
                    f"the local job {request['name']} has not started within {_LEASE_SECONDS:.0f} s"
                )
            time.sleep(0.005)

    def _status(self, folder: Path, lease: Mapping[str, Any]) -> JobStatus:
        stopped = (folder / STOPPED).exists()
        alive, process = self._alive(lease), _read(folder / PROCESS)
        ended = _read(folder / EXIT)  # after the look at the process: it may write this and end in between
        if ended is not None:
            code = int(ended["code"])
            if stopped:
                return JobStatus(State.STOPPED, "stopped on request", exit_code=code)
            return JobStatus(State.SUCCEEDED if code == 0 else State.FAILED, ended.get("reason", ""), exit_code=code)
        if alive:
            return JobStatus(State.ACTIVE, stopping=stopped, running=True)
        if process is not None and self._alive(process):
            return JobStatus(
                State.ACTIVE, "its launcher was killed, and the job is ending", stopping=True, running=True
            )
        if stopped:
            return JobStatus(State.STOPPED, "stopped on request")
        return JobStatus(State.ABSENT, f"the process is gone: it ran on {lease['host']} as {lease['pid']}")

    @staticmethod
    def _alive(lease: Mapping[str, Any]) -> bool:
        launched = _LAUNCHED.get(lease["pid"])
        if launched is not None and launched.poll() is not None:
            _LAUNCHED.pop(lease["pid"], None)  # our own child is over: reaped, it is no zombie
        now = identify(lease["pid"])
        return now is not None and now.to_wire() == dict(lease)


def _object(reference: Any) -> dict[str, Any] | None:
    return None if reference is None else {"uri": reference.uri, "sha256": reference.sha256, "size": reference.size}


def _staged(uri: str, request: Mapping[str, Any], folder: Path) -> str:
    """Where an object is a file of this host: itself, or its copy in the job's own store folder."""
    scheme, _, path = split_uri(uri)
    if scheme == "file":
        return f"/{unquote(path)}"
    root = request["outputs_uri"].partition("/runs/")[0]
    if not is_within(uri, (root,)):
        raise JobMisconfigured(f"{uri} lies outside the artifact root {root} and cannot be brought to a local job")
    return str(folder / "store" / uri[len(root) :].strip("/"))


def _whole_characters(data: bytes) -> int:
    """How many bytes of a text in UTF-8 stand before a last character that is cut."""
    for back in range(1, 4):
        if data[-back] >= 0xC0:  # the first byte of a character of several
            width = 2 if data[-back] < 0xE0 else 3 if data[-back] < 0xF0 else 4
            return len(data) - back if width > back else len(data)
        if data[-back] < 0x80:
            break
    return len(data)


def _passed_on(name: str, further: tuple[str, ...]) -> bool:
    return name in PASSED_ON or name.startswith("LC_") or name in further


def _secret(variable: str, reference: Mapping[str, str]) -> str:
    value = os.environ.get(reference["env"]) if "env" in reference else None
    if "file" in reference and Path(reference["file"]).is_file():
        value = Path(reference["file"]).read_text().strip()
    if value is None:
        raise JobMisconfigured(
            f"the secret for {variable} is not there: the target says {dict(reference)}",
            remedy="set it where the worker runs, or change the target's `secrets:`",
        )
    return value


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return value if isinstance(value, dict) else None
