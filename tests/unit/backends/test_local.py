"""What only the local backend promises: isolation of the environment, identity of processes, limits, and no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.local import launcher
from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings, _whole_characters
from airflow_provider_mlx.backends.local.launcher import create
from airflow_provider_mlx.backends.local.process import identify
from airflow_provider_mlx.exceptions import InvalidStep, JobMisconfigured
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep

SLEEPS = "import time\n\ndef run():\n    print('started', flush=True)\n    time.sleep(120)\n"


@pytest.fixture
def root(tmp_path):
    return (tmp_path / "root").as_uri()


@pytest.fixture
def backend(tmp_path, monkeypatch):
    work_dir, scratch = tmp_path / "work", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))  # a supervisor that is killed cannot remove its folder
    made = LocalBackend(LocalSettings(work_dir=str(work_dir)), store=ObjectStore())
    yield made
    for lease in work_dir.glob("jobs/*/*.json"):
        if lease.name in ("lease.json", "process.json"):
            known = json.loads(lease.read_text())
            now = identify(known["pid"])
            if now is not None and now.to_wire() == known:
                os.kill(known["pid"], signal.SIGTERM)
    wait_until(lambda: not running(tmp_path), "no process is left")
    for folder in work_dir.glob("jobs/*"):
        made.forget(JobHandle("local", folder.name))
    assert not commands(tmp_path), "no zombie is left"


def wait_until(condition, what, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def commands(folder: Path) -> list[str]:
    """Processes whose command names a folder, and zombies of this process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if str(folder) in command or (state == "Z" and int(parent) == os.getpid()):
                found.append(f"{entry.name} {state} {command}")
    return found


def running(folder: Path) -> list[str]:
    return [command for command in commands(folder) if command.split()[1] != "Z"]


def folder_of(handle: JobHandle) -> Path:
    return Path(handle.location["folder"])


def ended(backend, handle):
    wait_until(lambda: (found := backend.find(handle.name)) is None or found.status.state.finished, "the job ends")
    return backend.find(handle.name)


def run(backend, root, step):
    handle = step.submit(backend, root)
    found = ended(backend, handle)
    ledger = step.ledger(backend, root)
    return found.status, ledger.read_result(), ledger.read_error()


def value_of(result):
    return result["outputs"]["return_value"]["value"]


def start_sleeper(backend, root):
    handle = ContractStep(SLEEPS).submit(backend, root)
    wait_until(lambda: "started" in backend.read_log(handle).lines, "the user's code runs")
    return handle


# --- environment ------------------------------------------------------------------------------------------------------

CANARIES = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "canary-database",
    "AIRFLOW_CONN_X": "canary-connection",
    "AIRFLOW__CORE__FERNET_KEY": "canary-fernet",
    "AWS_SECRET_ACCESS_KEY": "canary-aws",
    "PYTHONPATH": "/canary-path",
    "SOMETHING_OF_THE_WORKER": "canary-other",
}


# The environments of the supervisor and the launcher count too: a process of the same user can read them.
LOOKS_AROUND = """
    import os
    from pathlib import Path

    def run():
        seen, pid = dict(os.environ), os.getppid()
        for _ in ("supervisor", "launcher"):
            seen[f"parent {pid}"] = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return seen
"""


def test_a_job_sees_an_allowlist_of_the_workers_environment(backend, root, monkeypatch):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    _, result, error = run(backend, root, ContractStep(LOOKS_AROUND, env={"MINE": "yes"}))
    assert error is None
    seen = value_of(result)
    assert "canary" not in json.dumps(seen)
    assert (seen["MINE"], seen["PATH"], seen["LC_ALL"]) == ("yes", os.environ["PATH"], "C.UTF-8")
    assert len([name for name in seen if name.startswith("parent")]) == 2, "supervisor and launcher were looked at"


def test_the_target_may_pass_further_variables_on(backend, root, monkeypatch):
    monkeypatch.setenv("SOMETHING_OF_THE_WORKER", "passed on")
    passing = LocalBackend(backend.settings.model_copy(update={"pass_env": ("SOMETHING_OF_THE_WORKER",)}))
    step = ContractStep("import os\n\ndef run():\n    return os.environ['SOMETHING_OF_THE_WORKER']\n")
    assert value_of(run(passing, root, step)[1]) == "passed on"


def test_a_secret_from_a_file(backend, root, tmp_path):
    (tmp_path / "token").write_text("from a file\n")
    step = ContractStep("import os\n\ndef run():\n    return len(os.environ['TOKEN'])\n",
                        secrets={"TOKEN": {"file": str(tmp_path / "token")}})  # fmt: skip
    assert value_of(run(backend, root, step)[1]) == len("from a file")
    kept = [path.read_bytes() for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert not any(b"from a file" in data for data in kept)


@pytest.mark.parametrize("reference", [{"env": "NOT_THERE"}, {"file": "/not/there"}])
def test_a_secret_that_is_not_there_names_it(backend, root, reference):
    with pytest.raises(JobMisconfigured, match="the secret for TOKEN is not there"):
        ContractStep(secrets={"TOKEN": reference}).submit(backend, root)


def test_a_reference_for_another_backend_is_refused_before_submission(backend, root):
    with pytest.raises(InvalidStep, match="not a secret that a local job can read"):
        ContractStep(secrets={"TOKEN": {"name": "hf", "key": "token"}}).plan(backend, root)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_memory_limit_is_out_of_memory(backend, root):
    source = "def run():\n    return len(bytearray(2 * 1024**3))\n"
    status, result, error = run(backend, root, ContractStep(source, resources=Resources(memory="512Mi")))
    assert (status.state, result) == (State.FAILED, None)
    assert error["reason"] == "OutOfMemory"


def test_the_cpu_limit_is_the_number_of_cores_that_the_job_may_use(backend, root):
    source = "import os\n\ndef run():\n    return len(os.sched_getaffinity(0))\n"
    _, result, _ = run(backend, root, ContractStep(source, resources=Resources(cpu="500m")))
    assert value_of(result) == 1
    all_of_them = ContractStep(source, run_id="all", resources=Resources(cpu=10_000))
    assert value_of(run(backend, root, all_of_them)[1]) == len(os.sched_getaffinity(0))


# --- whose process is it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"host": "another"}, id="another host"),
        pytest.param({"boot": "another"}, id="another boot"),
        pytest.param({"started": "1"}, id="another process has the pid now"),
        pytest.param({"pid": 2**22 - 1}, id="no process has the pid"),
    ],
)
def test_a_job_is_adopted_only_where_host_boot_and_start_time_agree(backend, root, change):
    handle = start_sleeper(backend, root)
    again = LocalBackend(backend.settings)
    assert again.find(handle.name).status.state is State.ACTIVE
    kept = {}
    for name in ("lease.json", "process.json"):
        kept[name] = (folder_of(handle) / name).read_text()
        (folder_of(handle) / name).write_text(json.dumps(json.loads(kept[name]) | change))
    status = again.find(handle.name).status
    assert status.state is State.ABSENT, "lost, and that is definite"
    assert "the process is gone" in status.reason
    again.cancel(handle)  # must not signal a stranger
    for name, text in kept.items():
        (folder_of(handle) / name).write_text(text)
    (folder_of(handle) / "stopped").unlink()
    assert again.find(handle.name).status.state is State.ACTIVE
    again.cancel(handle)
    assert ended(again, handle).status.state is State.STOPPED


def test_the_folder_of_a_submitter_that_died_is_used_by_the_next(backend, root):
    step = ContractStep()
    request = step.prepare(backend, root)
    died = LocalBackend(backend.settings, store=ObjectStore())
    died._launch = lambda *_: None
    died.submit(request)
    assert backend.find(request["name"]) is None
    handle = backend.submit(request)
    assert ended(backend, handle).status.state is State.SUCCEEDED


def test_a_second_launcher_of_a_job_does_nothing(backend, root):
    handle = start_sleeper(backend, root)
    second = [sys.executable, "-S", launcher.__file__, str(folder_of(handle))]
    done = subprocess.run(second, capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert backend.read_log(handle).lines.count("started") == 1
    assert backend.find(handle.name).status.state is State.ACTIVE


def test_a_job_whose_interpreter_is_missing_fails_with_a_reason(backend, root):
    step = ContractStep()
    request = dict(step.prepare(backend, root)) | {"python": "/no/such/python"}
    found = ended(backend, backend.submit(request))
    assert (found.status.state, found.status.exit_code) == (State.FAILED, 127)
    assert "cannot start" in found.status.reason


# --- nothing outlives the job -----------------------------------------------------------------------------------------


def test_a_launcher_that_is_killed_takes_the_supervisor_and_the_users_code_along(backend, root, tmp_path):
    handle = start_sleeper(backend, root)
    lease = json.loads((folder_of(handle) / "lease.json").read_text())
    assert len(commands(tmp_path)) >= 2
    os.kill(lease["pid"], signal.SIGKILL)
    wait_until(lambda: not running(tmp_path), "both end")
    # a process that is just ending shows no command any more and still counts as alive, for an instant
    wait_until(lambda: backend.find(handle.name).status.state is State.ABSENT, "the job is lost, and that is definite")


def test_while_a_job_ends_whose_launcher_was_killed_it_is_active(backend, root):
    source = "import time\n\ndef run():\n    try:\n        print('started', flush=True)\n        time.sleep(120)\n"
    source += "    finally:\n        time.sleep(1.5)\n"
    handle = ContractStep(source).submit(backend, root)
    wait_until(lambda: "started" in backend.read_log(handle).lines, "the user's code runs")
    os.kill(json.loads((folder_of(handle) / "lease.json").read_text())["pid"], signal.SIGKILL)
    time.sleep(0.3)
    status = backend.find(handle.name).status
    assert (status.state, status.stopping) == (State.ACTIVE, True), "no second job may start beside it"
    backend.cancel(handle)
    wait_until(lambda: backend.find(handle.name).status.state is State.STOPPED, "it ends")


def test_a_supervisor_that_is_killed_leaves_no_child(backend, root, tmp_path):
    handle = start_sleeper(backend, root)
    os.kill(json.loads((folder_of(handle) / "process.json").read_text())["pid"], signal.SIGKILL)
    found = ended(backend, handle)
    assert (found.status.state, found.status.exit_code) == (State.FAILED, -signal.SIGKILL)
    wait_until(lambda: not running(tmp_path), "the user's code ends too")


def test_processes_that_the_users_code_left_behind_end_with_the_job(backend, root, tmp_path):
    source = "import subprocess, sys\n\ndef run(mark):\n"
    source += "    code = 'import os,sys,time; os.fork() and sys.exit(); os.setsid(); time.sleep(60)'\n"
    source += "    subprocess.run([sys.executable, '-c', code, mark], start_new_session=True)\n    return 1\n"
    _, result, _ = run(backend, root, ContractStep(source, arguments={"mark": str(tmp_path / "daemon")}))
    assert value_of(result) == 1
    wait_until(lambda: not running(tmp_path / "daemon"), "a daemon of the job's ends with it", seconds=3)


def test_the_job_outlives_the_worker_that_submitted_it(backend, root):
    step = ContractStep("import time\n\ndef run():\n    time.sleep(1)\n    return 'done'\n")
    request = step.prepare(backend, root)
    code = "import json, sys\nfrom airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings\n"
    code += "LocalBackend(LocalSettings(work_dir=sys.argv[1])).submit(json.loads(sys.argv[2]))\n"
    code += "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    command = [sys.executable, "-c", code, backend.settings.work_dir, json.dumps(request)]
    worker = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert worker.returncode == -signal.SIGKILL
    found = backend.find(request["name"])
    assert found.status.state is State.ACTIVE
    assert ended(backend, found.handle).status.state is State.SUCCEEDED
    assert value_of(step.ledger(backend, root).read_result()) == "done"


# --- small parts ------------------------------------------------------------------------------------------------------


def test_forgetting_removes_the_folder_and_a_name_alone_is_enough(backend, root):
    handle = ContractStep().submit(backend, root)
    ended(backend, handle)
    named = JobHandle("local", handle.name)
    assert backend.read_log(named).lines is not None
    backend.forget(named)
    assert not folder_of(handle).exists()
    assert backend.read_log(named) == backend.read_log(handle, "")
    backend.cancel(named)
    backend.collect(named, {})


def test_a_line_of_megabytes_comes_in_pieces_of_whole_characters(backend):
    folder = Path(backend.settings.work_dir) / "jobs" / "long"
    folder.mkdir(parents=True)
    text = "x" + "ü€😀" * 400_000
    (folder / "log.txt").write_text(text + "\nlast without an end")
    handle, cursor, pieces = JobHandle("local", "long"), "", []
    while (chunk := backend.read_log(handle, cursor)).cursor != cursor:
        pieces += chunk.lines
        cursor = chunk.cursor
    assert "".join(pieces) == text
    create(folder / "exit.json", "{}")
    assert backend.read_log(handle, cursor).lines == ("last without an end",)


@pytest.mark.parametrize(("data", "whole"), [("aü", 3), ("a€", 4), ("a😀", 5)])
def test_a_cut_character_waits_for_its_rest(data, whole):
    encoded = data.encode()
    assert _whole_characters(encoded) == whole
    for cut in range(2, whole):
        assert _whole_characters(encoded[:cut]) == 1


def test_a_file_is_created_whole_or_not_at_all(tmp_path):
    assert create(tmp_path / "a", "first")
    assert not create(tmp_path / "a", "second")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]


def test_identity_of_a_process():
    assert identify(os.getpid()) == identify(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "it ends")
    assert identify(child.pid) is None, "a zombie does not run"
    child.wait()
    assert identify(child.pid) is None


def test_sweeping_without_children_is_nothing():
    code = f"import sys; sys.path[:0]={sys.path!r}\nfrom {launcher.__name__} import sweep\nsweep()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
