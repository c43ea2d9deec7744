"""The server of the remote fake, over HTTP and with real processes: every verb, and every way to misbehave."""

from __future__ import annotations

import itertools
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_mlx.testing.remote.control import RemoteServer

SLEEP = "import time; print('started', flush=True); time.sleep(60)"
IGNORE = "import signal, time; signal.signal(15, signal.SIG_IGN); print('started', flush=True); time.sleep(60)"
SPAWN = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    env = {"AIRFLOW__CORE__FERNET_KEY": "canary", "AIRFLOW_CONN_X": "canary", "JOB_SECRET": "s3cr3t"}
    with RemoteServer(tmp_path_factory.mktemp("remote"), env=env) as server:
        yield server


@pytest.fixture
def name():
    return f"mlx-job-{next(NUMBERS)}-{time.monotonic_ns()}"


def job(name, code="pass", **more):
    return {"name": name, "argv": ["", "-I", "-S", "-c", code], "env": {}, "secrets": {}, "labels": {}, **more}


def create(server, name, code="pass", **more):
    status, made = server.ask("POST", "/v1/jobs", job(name, code, **more))
    assert status == 201, made
    return made


def wait(server, name, *statuses, seconds=10):
    end = time.monotonic() + seconds
    while (found := server.ask("GET", f"/v1/jobs/{name}")[1])["status"] not in statuses:
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def wait_for_lines(server, name, count=1):
    end = time.monotonic() + 10
    while len(lines := server.ask("GET", f"/v1/jobs/{name}/log")[1]["lines"]) < count:
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    return lines


def stop(server, name, **body):
    return server.ask("POST", f"/v1/jobs/{name}/stop", body)


def ending(found):
    return found["status"], found["failure"], found["exit_code"]


def is_running(pid):
    """Whether there is such a process, a zombie left out."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(pid):
    end = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < end, f"the process {pid} outlived its job"
        time.sleep(0.02)


def recorded(server, name):
    (found,) = server.record().created(name)
    return found


# --- creating ---------------------------------------------------------------------------------------------------


def test_twenty_who_ask_at_once_make_one_job(server, name):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.ask("POST", "/v1/jobs", job(name)), range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({made["id"] for _, made in answers}) == 1
    assert ending(wait(server, name, "succeeded")) == ("succeeded", None, 0)
    assert recorded(server, name).duplicates == 19


def test_another_request_is_a_conflict_and_changes_nothing(server, name):
    made = create(server, name, SLEEP)
    status, found = server.ask("POST", "/v1/jobs", job(name, "print('other')"))
    assert (status, found["id"], found["digest"]) == (409, made["id"], made["digest"])
    stop(server, name)
    assert recorded(server, name).conflicts == 1


def test_a_failure_has_its_exit_code_and_a_death_its_signal(server, name):
    create(server, f"{name}-a", "raise SystemExit(3)")
    create(server, f"{name}-b", "import os; os.kill(os.getpid(), 9)")
    assert ending(wait(server, f"{name}-a", "failed")) == ("failed", None, 3)
    assert ending(wait(server, f"{name}-b", "failed")) == ("failed", None, 137)


def test_nothing_of_airflow_is_in_a_jobs_environment(server, name):
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    create(server, name, code, env={"PLAIN": "1"}, secrets={"TOKEN": {"variable": "JOB_SECRET"}})
    wait(server, name, "succeeded")
    (line,) = wait_for_lines(server, name)
    env = json.loads(line)
    assert (env["PLAIN"], env["TOKEN"]) == ("1", "s3cr3t")
    assert [key for key in env if "AIRFLOW" in key or key == "JOB_SECRET"] == []


def test_a_secret_that_is_not_there_fails_the_job_before_it_runs(server, name):
    create(server, name, secrets={"TOKEN": {"variable": "NO_SUCH_SECRET"}})
    assert ending(wait(server, name, "failed")) == ("failed", "JobMisconfigured", None)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/jobs", {"argv": ["true"]}, 400),
        ("POST", "/v1/jobs", {"name": "x"}, 400),
        ("POST", "/v1/changes", {"wait": "long"}, 400),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/jobs/never", None, 404),
        ("GET", "/v1/jobs/never/log", None, 404),
        ("POST", "/v1/jobs/never/stop", {}, 404),
        ("DELETE", "/v1/jobs/never", None, 404),
    ],
)
def test_what_cannot_be_answered_is_said_so(server, method, path, body, status):
    assert server.ask(method, path, body)[0] == status


# --- stopping and ending ----------------------------------------------------------------------------------------


def test_a_stop_is_for_the_job_of_that_id_only(server, name):
    made = create(server, name, SLEEP)
    assert stop(server, name, id="another")[0] == 404
    wait_for_lines(server, name)
    # A job may have obeyed before the answer is written.
    assert stop(server, name, id=made["id"])[1]["status"] in ("stopping", "stopped")
    assert ending(wait(server, name, "stopped")) == ("stopped", None, 143)
    assert stop(server, name)[1]["status"] == "stopped", "a stop after the end changes nothing"
    assert len(recorded(server, name).stop_requests) == 1


def test_who_ignores_sigterm_is_killed_when_the_grace_is_over(server, name):
    create(server, name, IGNORE, grace_seconds=0.3)
    wait_for_lines(server, name)
    stop(server, name)
    assert ending(wait(server, name, "stopped", seconds=5)) == ("stopped", None, 137)


def test_a_native_limit_ends_the_job(server, name):
    create(server, name, SLEEP, native_limit_seconds=0.3)
    assert ending(wait(server, name, "stopped", seconds=5))[:2] == ("stopped", "JobTimeout")
    assert recorded(server, name).stop_requests == []


def test_a_finished_job_can_be_deleted_and_no_other(server, name):
    made = create(server, name, SLEEP)
    assert server.ask("DELETE", f"/v1/jobs/{name}?id={made['id']}")[0] == 409
    stop(server, name)
    wait(server, name, "stopped")
    assert server.ask("DELETE", f"/v1/jobs/{name}?id=another")[0] == 404
    assert server.ask("DELETE", f"/v1/jobs/{name}?id={made['id']}")[0] == 204
    assert server.ask("GET", f"/v1/jobs/{name}")[0] == 404
    assert recorded(server, name).deleted is not None
    assert create(server, name)["id"] != made["id"], "the name is free"


def test_what_a_job_left_behind_ends_with_it(server, name):
    create(server, name, SPAWN)
    (pid,) = wait_for_lines(server, name)
    stop(server, name)
    wait(server, name, "stopped")
    wait_until_gone(pid)


def test_with_one_slot_the_others_wait_and_a_queued_one_can_be_stopped(tmp_path):
    with RemoteServer(tmp_path, slots=1) as server:
        create(server, "first", SLEEP)
        for name in ("second", "third"):
            assert create(server, name)["status"] == "queued"
        assert stop(server, "second")[1]["status"] == "stopped"
        stop(server, "first")
        wait(server, "third", "succeeded")
        assert recorded(server, "second").started is None
        assert (server.record().peak_running(), server.record().peak_active()) == (1, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_server_is_the_end_of_its_jobs(tmp_path, number):
    with RemoteServer(tmp_path) as server:
        create(server, "a", SPAWN)
        (pid,) = wait_for_lines(server, "a")
        server.process.send_signal(number)
        server.process.wait(20)
        wait_until_gone(pid)
    if number == signal.SIGTERM:
        assert recorded(server, "a").status == "stopped"


# --- changes and logs -------------------------------------------------------------------------------------------


def changes(server, **body):
    status, answer = server.ask("POST", "/v1/changes", body)
    assert status == 200, answer
    return answer


def test_who_waits_for_a_change_is_woken_by_it(server, name):
    cursor = changes(server)["cursor"]
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(changes, server, since=cursor, wait=20, deployments=["mine"])
        time.sleep(0.1)
        create(server, f"{name}-other", labels={"deployment_id": "other"})
        time.sleep(0.1)
        assert not waiting.done(), "another deployment's job is no news"
        create(server, name, SLEEP, labels={"deployment_id": "mine"})
        answer = waiting.result()
    assert time.monotonic() - started < 5
    assert [found["name"] for found in answer["jobs"]] == [name]
    following = changes(server, since=answer["cursor"], wait=0.1, deployments=["mine"])
    assert (following["jobs"], following["absent"]) == ([], []), "what was told is not told again"
    assert changes(server, since=answer["cursor"], wait=20, also=[name, "never"])["absent"] == ["never"]
    stop(server, name)


def test_the_cursor_of_another_server_is_void(server):
    assert changes(server, since="another:7", wait=20) == {"cursor": "", "reset": True, "jobs": [], "absent": []}


def test_a_log_is_read_in_bounded_chunks_of_whole_lines(server, name):
    create(server, name, "print(*range(1000), sep='\\n'); print('no end', end='')")
    wait(server, name, "succeeded")
    offset, lines, chunks = 0, [], 0
    while True:
        chunk = server.ask("GET", f"/v1/jobs/{name}/log?offset={offset}&limit=1000")[1]
        if chunk["next"] == offset:
            break
        lines, offset, chunks = lines + chunk["lines"], chunk["next"], chunks + 1
    assert lines == [*map(str, range(1000)), "no end"]
    assert chunks >= 4


# --- misbehaving ------------------------------------------------------------------------------------------------


def test_a_preempted_job_gets_sigterm_and_the_next_one_does_not(server, name):
    server.script("preempt", name, after_seconds=0.3)
    create(server, f"{name}-1", SLEEP)
    create(server, f"{name}-2")
    assert ending(wait(server, f"{name}-1", "stopped")) == ("stopped", "Preempted", 143)
    assert ending(wait(server, f"{name}-2", "succeeded")) == ("succeeded", None, 0)
    assert server.record().stops(name) == [], "a preemption is nobody's request"


def test_an_evicted_job_is_killed_with_all_it_started(server, name):
    server.script("evict", name, after_seconds=1.0)
    create(server, name, SPAWN)
    (pid,) = wait_for_lines(server, name)
    assert ending(wait(server, name, "failed")) == ("failed", "Preempted", 137)
    wait_until_gone(pid)


def test_without_capacity_a_job_never_runs(server, name):
    server.script("no_capacity", name, after_seconds=0.2)
    assert create(server, name)["status"] == "queued"
    assert ending(wait(server, name, "failed")) == ("failed", "CapacityUnavailable", None)
    assert recorded(server, name).started is None


@pytest.mark.parametrize("code", [SLEEP, "pass"])
def test_a_vanished_job_is_forgotten_running_or_over(server, name, code):
    server.script("vanish", name, after_seconds=0.4)
    cursor = changes(server)["cursor"]
    create(server, name, code)
    end = time.monotonic() + 5
    while name not in (answer := changes(server, since=cursor, wait=5))["absent"]:
        assert time.monotonic() < end, answer
        cursor = answer["cursor"]
    assert server.ask("GET", f"/v1/jobs/{name}")[0] == 404


def test_a_slow_stop_comes_later(server, name):
    server.script("slow_stop", name, after_seconds=0.4)
    create(server, name, SLEEP)
    wait_for_lines(server, name)
    started = time.monotonic()
    assert stop(server, name)[1]["status"] == "stopping"
    wait(server, name, "stopped")
    assert time.monotonic() - started >= 0.4


def test_an_answer_can_come_late_or_never_and_the_job_is_there(server, name):
    server.script("lose_answer", f"{name}-a")
    server.script("hold_create", f"{name}-b", after_seconds=0.3)
    with pytest.raises(OSError, match=r"closed|reset"):
        create(server, f"{name}-a")
    assert server.ask("POST", "/v1/jobs", job(f"{name}-a"))[0] == 200
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(create, server, f"{name}-b")
        time.sleep(0.1)
        assert server.ask("GET", f"/v1/jobs/{name}-b")[0] == 200
        waiting.result()
    assert time.monotonic() - started >= 0.3
    assert [found.duplicates for found in server.record().created(name)] == [1, 0]


def test_an_outage_hits_everything_but_the_controls_and_who_waits_at_once(server):
    cursor = changes(server)["cursor"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.ask, "POST", "/v1/changes", {"since": cursor, "wait": 20})
        time.sleep(0.1)
        server.outage(30)
        assert waiting.result(timeout=5)[0] == 503
    assert server.ask("GET", "/v1/jobs/any")[0] == 503
    server.outage(30, "drop")
    with pytest.raises(OSError, match=r"closed|reset"):
        server.ask("GET", "/v1/jobs/any")
    server.outage(0)
    assert server.ask("GET", "/v1/jobs/any")[0] == 404


def test_nothing_is_answered_without_the_token(server, name):
    token, server.token = server.token, "another"
    try:
        assert server.ask("POST", "/v1/jobs", job(name))[0] == 401
        with pytest.raises(ValueError, match="401"):
            server.outage(1)
    finally:
        server.token = token
    assert server.record().created(name) == []
