"""A bundle or a context that was exchanged after the submission is refused before any import: no code of it runs."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from pathlib import Path

import pytest

from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.protocol import EXIT_TAMPERED
from airflow_provider_mlx.testing.remote.backend import RemoteBackend, RemoteSettings
from airflow_provider_mlx.testing.remote.control import RemoteServer
from airflow_provider_mlx.testing.steps import ContractStep

RUNTIME_MAIN = "airflow_provider_mlx/runtime/main.py"


def touching(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()\n"


def repacked(bundle: bytes, **changes: bytes) -> bytes:
    """The bundle with other contents of some members, by the ends of their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            for end, other in changes.items():
                data = other if name.endswith(end) else data
            new.writestr(name, data)
    return out.getvalue()


def another_byte(data: bytes, marker: Path) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def last_byte_more(data: bytes, marker: Path) -> bytes:
    return data + b"\0"


def code_before(data: bytes, marker: Path) -> bytes:
    """Python's own zip applications may have anything in front: the digest is of the whole file."""
    return b"#!" + touching(marker).encode() + data


def other_step(data: bytes, marker: Path) -> bytes:
    return repacked(data, **{"step.py": touching(marker).encode() + b"def run():\n    return 1\n"})


def other_verifier(data: bytes, marker: Path) -> bytes:
    return repacked(data, **{RUNTIME_MAIN: touching(marker).encode() + b"def main():\n    pass\n"})


def nothing(data: bytes, marker: Path) -> bytes:
    return b""


@pytest.mark.parametrize("change", [another_byte, last_byte_more, code_before, other_step, other_verifier, nothing])
def test_another_bundle_runs_no_code(change, job, tmp_path):
    marker = tmp_path / "ran"
    command, attempt = job.prepare("def run():\n    return 1\n")
    bundle = Path(command[3])
    bundle.write_bytes(change(bundle.read_bytes(), marker))
    done = job.finish(command, attempt)
    assert done.status == EXIT_TAMPERED
    assert f"is {hashlib.sha256(bundle.read_bytes()).hexdigest()} not {command[4]}" in done.output
    assert not marker.exists()
    assert not (attempt / "result.json").exists()


def test_the_exchanged_code_would_have_run(job, tmp_path):
    """The control: with the digest of the exchanged bundle the same files do run."""
    for change in (other_step, other_verifier, code_before):
        marker = tmp_path / change.__name__
        command, attempt = job.prepare("def run():\n    return 1\n")
        bundle = Path(command[3])
        bundle.write_bytes(change(bundle.read_bytes(), marker))
        command[4] = hashlib.sha256(bundle.read_bytes()).hexdigest()
        job.finish(command, attempt)
        assert marker.exists() or change is code_before


@pytest.mark.parametrize("change", ["byte", "whole", "space", "gone", "folder"])
def test_another_context_runs_no_code(change, job, tmp_path):
    marker = tmp_path / "ran"
    source = f"{touching(marker)}def run(*names):\n    {touching(marker)}    return 1\n"
    command, attempt = job.prepare(source)
    context = attempt / "context.json"
    data = context.read_bytes()
    if change == "byte":
        context.write_bytes(data.replace(b'"run"', b'"ruN"'))
    elif change == "whole":
        context.write_text(
            '{"protocol": 1, "nonce": "n", "step": {}, "payload": {}, "outputs": {"uri": "file:///tmp"}}'
        )
    elif change == "space":
        context.write_bytes(data + b" ")
    else:
        context.unlink()
    if change == "folder":
        context.mkdir()
    done = job.finish(command, attempt)
    assert done.status == EXIT_TAMPERED if context.is_file() else done.status != 0, done.output
    assert not marker.exists()


def test_a_bundle_that_is_exchanged_after_the_first_look_is_refused(job, tmp_path):
    """Between the bootstrap's hash and the extraction lie milliseconds; on a mounted root they are enough."""
    marker = tmp_path / "ran"
    command, attempt = job.prepare("def run():\n    return 1\n")
    bundle = Path(command[3])
    late = tmp_path / "late.zip"
    late.write_bytes(other_step(bundle.read_bytes(), marker))
    # the bootstrap's last line is where the runtime starts: everything before it has looked at the right bundle
    assert command[2].endswith("\nmain()")
    command[2] = command[2].removesuffix("main()") + f"import os;os.replace({str(late)!r},z)\nmain()"
    done = job.finish(command, attempt)
    assert done.status == EXIT_TAMPERED, done.output
    assert "was replaced" in done.output
    assert not marker.exists()


def test_what_was_exchanged_in_the_artifact_root_is_refused_on_local(load, execute, airflow_home):
    marker = airflow_home / "ran"
    body = f"@task.mlx\ndef step():\n    open({str(marker)!r}, 'w')\nstep()"
    task = load(body)["step"]
    execute(task, run_id="first")
    assert marker.exists(), "the control: it runs"
    marker.unlink()
    (bundle,) = (airflow_home / "mlx" / "bundles").glob("*.zip")
    bundle.write_bytes(another_byte(bundle.read_bytes(), marker))
    with pytest.raises(ArtifactError, match="is not the one that was submitted"):
        execute(task, run_id="second")
    assert not marker.exists()


def test_what_was_exchanged_between_submission_and_start_is_refused_on_a_remote_backend(tmp_path):
    """The job waits in a queue while somebody with write access to the root exchanges its files."""
    with RemoteServer(tmp_path / "server", slots=1) as server:
        backend = RemoteBackend(RemoteSettings(), "conn", read_connection=server.read_connection)
        root, gate = (tmp_path / "root").as_uri(), tmp_path / "gate"
        waits = f"import os, time\ndef run():\n    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.02)\n"
        ContractStep(waits, run_id="first").submit(backend, root)
        waiting = {}
        for victim in ("bundle", "context", "neither"):
            marker = tmp_path / victim
            step = ContractStep(f"{touching(marker)}def run():\n    return 1\n", run_id=victim)
            request = step.prepare(backend, root)
            waiting[victim] = backend.submit(request), marker
            where = {"bundle": request["argv"][3], "context": request["argv"][5].removeprefix("file://")}
            if victim in where:
                file = Path(where[victim])
                file.write_bytes(another_byte(file.read_bytes(), marker))
        gate.touch()
        ended = {victim: (exit_code(backend, handle), marker.exists()) for victim, (handle, marker) in waiting.items()}
        backend.disconnect()
    assert ended == {"bundle": (EXIT_TAMPERED, False), "context": (EXIT_TAMPERED, False), "neither": (0, True)}


def exit_code(backend, handle) -> int | None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = backend.find(handle.name)
        if found is not None and found.status.state.finished:
            return found.status.exit_code
        time.sleep(0.05)
    raise AssertionError("the job does not end")
