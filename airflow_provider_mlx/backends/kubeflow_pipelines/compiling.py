"""
``@dsl.pipeline`` in a Python file → a compiled pipeline, without ``kfp`` in Airflow's interpreter.

The SDK pins packages that Airflow's providers need in other versions, so it has an environment of its own, made once
per set of versions. The file is compiled there by a process that sees a copy of it and of what it imports, and none of
Airflow's secrets. Both are kept: a file that has not changed costs neither a process nor a network.

It runs where tasks run, never while a DAG is parsed: an environment takes seconds to make, and a file two to compile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.backends.local.backend import PASSED_ON
from airflow_provider_mlx.exceptions import InvalidStep, JobMisconfigured, MlxError, Problem
from airflow_provider_mlx.runtime import refusals
from airflow_provider_mlx.runtime.environment import prepare_environment
from airflow_provider_mlx.runtime.uris import without_credentials

from .compile_errors import choice_error, raised_error
from .compiled import CompiledPipeline, parse_pipeline
from .pipeline_source import PipelineSource

SDK_VERSION: Final = "2.14.3"
"""
The oldest whose pipelines all servers from 2.14 take. A newer one knows more of Kubernetes than an older server does,
which then drops the whole platform spec (node selectors, secrets, volumes) and says 200; this one fails in the file
instead. It names its own protobuf schema exactly, and asks for nothing that is new in an index.
"""
_SDK: Final = re.compile(r"2\.(\d+)(\.\d+)*([abrcdev.]+\d+)*")
_FIRST_MINOR: Final = 14
"""The first with a ``kfp-kubernetes`` of the same version."""
INSTALL_SECONDS: Final = 600.0
COMPILE_SECONDS: Final = 120.0
_TAIL: Final = 20
_INDEX: Final = "look whether this worker reaches its package index"
_INSTALLERS: Final = ("PIP_", "UV_")
_SCRIPT: Final = Path(__file__).with_name("isolated_compile.py")
_UNSATISFIABLE: Final = re.compile(
    r"unsatisfiable|no version of|No solution found|not found in the package registry|ResolutionImpossible"
    r"|No matching distribution|Invalid requirement|Couldn't parse requirement",
    re.IGNORECASE,
)
"""uv's words and pip's for versions that there are not; anything else may be the network."""
_NETWORK: Final = re.compile(
    r"network was disabled|error sending request|Retrying \(|timed? ?out|ConnectionError|Name or service|Network is",
    re.IGNORECASE,
)
"""What they say besides, where they found nothing because they could not look."""


class SdkUnavailable(MlxError):
    """The SDK could not be installed now: an index or a network that may come back. Airflow's ``retries`` decide."""


@dataclass(frozen=True)
class Sdk:
    """
    The SDK that compiles.

    :param version: of ``kfp`` and ``kfp-kubernetes``, exactly; not newer than the server.
    :param packages: further requirements, for what the file imports when it is loaded.
    """

    version: str = SDK_VERSION
    packages: tuple[str, ...] = ()

    def requirements(self) -> list[str]:
        """
        What its environment holds.

        :raises InvalidStep: it is no version of the SDK that can be used.
        """
        match = _SDK.fullmatch(self.version)
        if match is None or int(match[1]) < _FIRST_MINOR:
            what = f"{self.version!r} is no version of the SDK from 2.{_FIRST_MINOR}"
            remedy = f"give an exact one that is not newer than the server, as {SDK_VERSION}"
            raise InvalidStep("the pipeline cannot be compiled", [Problem(what, remedy, "sdk_version")])
        return [f"kfp=={self.version}", f"kfp-kubernetes=={self.version}", *self.packages]


class PipelineCompiler:
    """
    Compiles files, and keeps what it has made; may be used by several processes at once.

    :param environments: folder of the SDK's environments, on a disk of this host.
    :param compiled: folder of compiled pipelines.
    :param pass_env: further variables of this process that the file sees; without them it sees no secret.
    :param show: told what takes long, a line at a time.
    """

    def __init__(
        self,
        *,
        environments: Path,
        compiled: Path,
        sdk: Sdk | None = None,
        pass_env: Sequence[str] = (),
        show: Callable[[str], None] = lambda line: None,
        install_seconds: float = INSTALL_SECONDS,
        compile_seconds: float = COMPILE_SECONDS,
    ) -> None:
        self._environments = environments
        self._compiled = compiled
        self._sdk = sdk or Sdk()
        self._pass_env = tuple(pass_env)
        self._show = show
        self._install_seconds = install_seconds
        self._compile_seconds = compile_seconds

    def compile(self, source: PipelineSource) -> CompiledPipeline:
        """
        The compiled pipeline of a file; nothing is run if the same was compiled before.

        :raises InvalidStep: the file has no such pipeline, or raises; with its own lines.
        :raises SdkUnavailable: the SDK cannot be installed now.
        :raises JobMisconfigured: these versions cannot be installed together.
        """
        files = source.files()
        requirements = self._sdk.requirements()
        kept = self._compiled / f"{self._digest(source, files, requirements)}.yaml"
        if not kept.is_file():
            text = self._compile(source, files, self._environment(requirements))
            _write(kept, text)
        return parse_pipeline(kept.read_text())

    # --- the environment -----------------------------------------------------------------------------------------

    def _environment(self, requirements: Sequence[str]) -> str:
        """The interpreter that has the SDK; made now, if it is not there."""
        with tempfile.TemporaryDirectory(prefix="mlx-kfp-") as work:
            try:
                return prepare_environment(
                    {"requirements": list(requirements), "inherit": False, "cache": str(self._environments)},
                    Path(work), self._install,
                )  # fmt: skip
            except refusals.JobMisconfigured as refused:
                raise _not_installed(requirements, refused.what) from None

    def _install(self, command: Sequence[str], env: Mapping[str, str]) -> tuple[int, list[str]]:
        """Run an installer, without the secrets of this process."""
        if list(command[1:3]) == ["-m", "venv"]:  # the first of its commands
            self._show(f"installing the SDK of Kubeflow Pipelines {self._sdk.version} into an environment of its own")
        ours = {name: value for name, value in env.items() if name not in os.environ}
        status, lines = _run(command, {**self._passed(), **ours}, self._install_seconds)
        if status is None:
            what = f"the SDK of Kubeflow Pipelines was not installed within {self._install_seconds:g} s"
            raise SdkUnavailable(_with_tail(what, lines), remedy=_INDEX)
        return status, lines

    # --- the compilation -----------------------------------------------------------------------------------------

    def _compile(self, source: PipelineSource, files: Mapping[str, bytes], python: str) -> str:
        """The YAML of the pipeline, by a process in that environment."""
        name = source.name
        self._show(f"compiling `{name}` by the SDK of Kubeflow Pipelines {self._sdk.version}")
        with tempfile.TemporaryDirectory(prefix="mlx-kfp-") as folder:
            work = Path(folder).resolve()
            root, request, answer = work / "source", work / "request.json", work / "answer.json"
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
            asked = {"root": str(root), "file": name, "function": source.function, "answer": str(answer)}
            request.write_text(json.dumps(asked))
            passed = {key: value for key, value in self._passed().items() if not key.startswith(_INSTALLERS)}
            status, lines = _run([python, "-I", "-B", str(_SCRIPT), str(request)], passed, self._compile_seconds, root)
            said = json.loads(answer.read_text()) if answer.is_file() else None
            if said is None:
                raise self._no_answer(name, status, lines)
            if "type" in said:
                raise raised_error(name, said, root)
        if "pipelines" in said:
            raise choice_error(name, source.function, said)
        return parse_pipeline({"pipeline_spec": said["pipeline"], "platform_spec": said["platform"]}).to_yaml()

    def _no_answer(self, name: str, status: int | None, lines: Sequence[str]) -> InvalidStep:
        how = (
            f"it took longer than {self._compile_seconds:g} s"
            if status is None
            else f"its process ended with exit status {status}"
        )
        remedy = "a file with pipelines describes them alone: move everything else into their components"
        return InvalidStep(_with_tail(f"the pipeline in `{name}` was not compiled: {how}", lines), remedy=remedy)

    def _passed(self) -> dict[str, str]:
        """What of this process's environment others see: an allowlist, as for local jobs."""
        further = self._pass_env
        return {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith("LC_") or name in further
        }

    def _digest(self, source: PipelineSource, files: Mapping[str, bytes], requirements: Sequence[str]) -> str:
        """Of everything that a compiled pipeline depends on."""
        facts = [
            source.name, source.function, list(requirements), sys.version,
            {name: os.environ.get(name) for name in sorted(self._pass_env)},
            {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
            hashlib.sha256(_SCRIPT.read_bytes()).hexdigest(),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _not_installed(requirements: Sequence[str], said: str) -> MlxError:
    what = f"the SDK of Kubeflow Pipelines ({', '.join(map(without_credentials, requirements))}) was not installed"
    if _UNSATISFIABLE.search(said) and not _NETWORK.search(said):
        return JobMisconfigured(_with_tail(what, said.splitlines()), remedy="give another version, or other packages")
    return SdkUnavailable(_with_tail(what, said.splitlines()), remedy=_INDEX)


def _with_tail(what: str, lines: Sequence[str]) -> str:
    """A sentence and the last lines of what a process printed."""
    return "\n".join([f"{what}:", *(f"  | {line}" for line in lines[-_TAIL:])]) if lines else what


def _run(
    command: Sequence[str], env: Mapping[str, str], seconds: float, folder: Path | None = None
) -> tuple[int | None, list[str]]:
    """
    Run a command to its end; its exit status, ``None`` if it took too long, and its last lines.

    It is a session of its own, so that what it started ends with it.
    """
    with subprocess.Popen(
        command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            status = None
        except BaseException:  # the task is being stopped
            _kill(process)
            raise
    return status, output.splitlines()[-100:]


def _kill(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _write(path: Path, text: str) -> None:
    """A file whole or not at all: others may read it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    draft.write_text(text)
    draft.replace(path)
