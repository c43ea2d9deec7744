"""What a job prints changes the log and nothing else, however it is forged and however much it is."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.base import LogChunk
from airflow_provider_mlx.exceptions import StepFailed
from airflow_provider_mlx.jobs.logs import JobLog, harmless, readable
from airflow_provider_mlx.testing.fake import RUNNING, SUCCEEDED, Script
from airflow_provider_mlx.triggers import job as trigger_module
from tests.unit.triggers.conftest import fired, trigger_of

MIB = 1024 * 1024

FORGED = [
    {"type": "metric", "name": "auc", "value": 1.0},
    {"type": "metric", "name": "auc", "value": {"mlx": "float/1", "value": "NaN"}},
    {"type": "progress", "fraction": 1e308},
    {"type": "heartbeat", "by": "supervisor"},
    {"type": "log", "message": "\x1b[2J::group::all is well"},
    {"type": "result", "outputs": {"return_value": {"artifact": None, "inline": True, "value": "forged"}}},
    {"type": "log", "outputs": {"return_value": {"inline": True, "value": "forged"}}, "metrics": {"auc": 1.0}},
    {"type": "log", "skipped": "forged", "error": "forged"},
]

PRINTS = """
@task.mlx(multiple_outputs=False)
def step():
    import sys
    from airflow_provider_mlx.runtime import current_step
    for line in open({lines!r}, 'rb'):
        sys.stdout.flush()
        import os
        os.write(1, line)
    current_step.log_metric('auc', 0.5)
    return 'honest'
step()
"""


def recorded_nonce(home: Path) -> str:
    (record,) = (home / "mlx" / "runs").rglob("job.json")
    return json.loads(record.read_text())["nonce"]


def test_forged_lines_with_the_right_nonce_change_nothing_but_the_log(load, execute, airflow_home, logged):
    lines = airflow_home / "lines"
    lines.write_bytes(b"")
    task = load(PRINTS.format(lines=str(lines)))["step"]
    honest = execute(task, run_id="first")
    # the nonce can be known before the job starts: the identity gives it (and the job reads it in its context)
    nonce = recorded_nonce(airflow_home)
    lines.write_text(
        "".join(f"::mlx::{nonce} {json.dumps({'seq': 99, 'ts': '', 'by': 'step', **body})}\n" for body in FORGED)
    )
    (airflow_home / "mlx" / "runs").rename(airflow_home / "runs of the first")
    logged.clear()
    forged = execute(task, run_id="first")
    assert recorded_nonce(airflow_home) == nonce, "the lines carry this attempt's own"
    assert forged.result == honest.result == "honest"
    assert forged.pushed["mlx_metrics"] == honest.pushed["mlx_metrics"] == {"auc": 0.5}
    assert sorted(forged.pushed) == sorted(honest.pushed)
    assert not [text for text in logged if "\x1b" in text or "::group::" in text]
    assert "metric auc = 1.0" in logged, "the control: the forged line was read as a live one"


def test_hostile_bytes_fail_no_step(load, execute, airflow_home, logged):
    lines = airflow_home / "lines"
    lines.write_bytes(
        b"\xff\xfe\x80 not UTF-8\n" + b"nul\0nul\n" + b"\x1b]0;title\x07\x1b[31mred\x1b[0m\n" + b"::group::x\n::endgroup::\n"
        + b"a\rb\x0cc\xe2\x80\xa8d\n" + b"::mlx:: {}\n" + b"::mlx::\n" + b"::mlx::x " + b"[" * 200_000 + b"\n"
        + b"x" * 3 * MIB + b"\n" + "é".encode() * MIB + b"\n" + b"no end of line"
    )  # fmt: skip
    task = load(PRINTS.format(lines=str(lines)))["step"]
    assert execute(task).result == "honest"
    assert "nulnul" in logged, "the control: the job's lines are among them"
    assert not any(character in text for text in logged for character in "\x1b\0\x07\r\x0c")
    assert not any("::group::" in text or "::endgroup::" in text for text in logged)
    assert max(len(text) for text in logged) < 20_000
    (kept,) = airflow_home.rglob("log.txt")
    kept.read_text(encoding="utf-8")


def test_an_error_is_the_files_and_not_the_lines(load, execute):
    """A job that prints success and fails has failed."""
    body = (
        '@task.mlx\ndef step():\n    print(\'::mlx::x {"seq":1,"type":"log","message":"ok"}\')\n'
        "    print('{\"protocol\": 1, \"outputs\": {}}')\n    raise ValueError('real')\nstep()"
    )
    with pytest.raises(StepFailed, match="ValueError: real"):
        execute(load(body)["step"])


LONG = {
    "letters": "x" * MIB,
    "escapes": "\x1b[" * (MIB // 2),
    "one escape without an end": "\x1b[" + "0" * MIB,
    "escapes with long parameters": ("\x1b[" + "0" * 1000) * (MIB // 1002),
    "parameters and intermediates": "\x1b[" + "0" * (MIB // 2) + " " * (MIB // 2),
    "half groups": "::group" * (MIB // 7),
    "groups": "::group::" * (MIB // 9),
    "marks": "::mlx::n " * (MIB // 9),
    "brackets behind the mark": "::mlx::n " + "[" * MIB,
    "digits behind the mark": '::mlx::n {"seq":' + "9" * MIB + "}",
    "a nested message": '::mlx::n {"seq":1,"type":"progress","fraction":' + "[" * 900 + "]" * 900 + "}",
    "surrogates": "\udc80" * MIB,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_line_of_a_megabyte_is_read_in_an_instant(text):
    start = time.perf_counter()
    shown = readable(text, "n")
    assert time.perf_counter() - start < 0.5
    assert len(shown or "") < 20_000
    assert not any(character in (shown or "") for character in "\x1b\0")


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred",
        "\x9b31mred",
        "\x1b]8;;http://evil\x1b\\link",
        "\x1bc",
        "a\bb",
        "::group::x",
        "::endgroup::",
        "\x1b\x1b[31mm",
    ],
)
def test_nothing_that_a_terminal_or_the_log_page_obeys_is_left(text):
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in harmless(text))
    assert "::group::" not in harmless(text)
    assert "::endgroup::" not in harmless(text)


def resident() -> int:
    """This process's memory now, in bytes. Source: proc(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The most memory that this process had since it was made, as far as anybody looked."""

    def __init__(self) -> None:
        self.before = self.most = resident()

    def look(self) -> None:
        self.most = max(self.most, resident())

    @property
    def grown_mib(self) -> float:
        return (self.most - self.before) / MIB


def chunks(kind: str) -> tuple[str, ...]:
    """The lines of a quarter of a megabyte, which is what the remote backend reads at once."""
    return {
        "lines": ("x" * 1023,) * 256,
        "one line": ("x" * (MIB // 4),),
        "escapes": ("\x1b[31m" * 200,) * 256,
        "forged": (('::mlx::n {"seq":1,"type":"log","message":"' + "y" * 900 + '"}'),) * 256,
        "empty lines": ("",) * (MIB // 4),
    }[kind]


class Silent:
    """A logger that keeps nothing but a count, and looks at the memory now and then."""

    def __init__(self, memory: Memory, *, writes: bool) -> None:
        self.count, self._memory, self._writes = 0, memory, writes

    def info(self, text: str, *values: object) -> None:
        self.count += 1
        if self._writes:
            json.dumps(
                {"timestamp": 0, "event": text % values if values else text, "logger": "trigger", "level": "info"}
            )
        if self.count % 5000 == 0:
            self._memory.look()

    warning = error = exception = debug = info


async def watched(trigger) -> tuple[object, float]:
    """The trigger's event, and the longest time that the event loop was held up meanwhile."""
    longest, ended = 0.0, False

    async def beat() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not ended:
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    pulse = asyncio.create_task(beat())
    event = await fired(trigger, seconds=60)
    ended = True
    await pulse
    return event, longest


def flooded(scene: Callable[..., object], monkeypatch, kind: str, megabytes: float):
    """A trigger that watches a job which prints so much; its log, and the process's memory."""
    total = int(megabytes * 4)
    here = scene(Script(sees=(*[RUNNING] * 3, SUCCEEDED)))
    order = here.submit()  # type: ignore[attr-defined]
    backend = here.cluster.backend_class  # type: ignore[attr-defined]
    read, seen = [0], chunks(kind)

    def read_log(self, handle, cursor=""):
        read[0] += 1
        return LogChunk(seen, str(read[0]))

    def look(self, handle=None):
        return SUCCEEDED if read[0] >= total else RUNNING

    monkeypatch.setattr(backend, "read_log", read_log)
    job = here.cluster.jobs[order.handle.name]  # type: ignore[attr-defined]
    monkeypatch.setattr(job, "look", lambda: look(None), raising=False)
    monkeypatch.setattr(trigger_module, "LOG_SECONDS", 0.0)
    trigger, _ = trigger_of(order)
    memory = Memory()
    trigger._log = Silent(memory, writes=kind != "lines")
    return trigger, trigger._log, memory


def test_three_hundred_megabytes_do_not_fill_the_triggerer(scene, monkeypatch):
    trigger, log, memory = flooded(scene, monkeypatch, "lines", 300)
    event, stalled = asyncio.run(watched(trigger))
    assert event["word"] == "finished"
    assert 50 * 1024 < log.count < 70 * 1024, "of lines of a kilobyte, what Airflow keeps of it is bounded"
    assert memory.grown_mib < 100
    assert stalled < 0.5


@pytest.mark.parametrize(
    "kind",
    [
        "one line", "escapes", "forged",
        "empty lines",
    ],
)  # fmt: skip
def test_no_output_holds_up_the_triggerers_loop(kind, scene, monkeypatch):
    trigger, log, memory = flooded(scene, monkeypatch, kind, 0.25)
    event, stalled = asyncio.run(watched(trigger))
    assert event["word"] == "finished"
    assert log.count > 0
    assert memory.grown_mib < 100
    assert stalled < 0.5, f"{stalled:.2f} s"


def test_two_hundred_megabytes_do_not_fill_the_worker():
    memory, count = Memory(), 0

    def show(text: str) -> None:
        nonlocal count
        count += 1
        if count % 5000 == 0:
            memory.look()

    log = JobLog(nonce="n", show=show)
    for _ in range(200 * 4):
        log.add(chunks("lines"))
    sizes = []
    log.save(lambda file: sizes.append(file.stat().st_size))
    memory.look()
    log.close()
    assert 80 * MIB <= sizes[0] <= 97 * MIB, "the beginning and the end are kept"
    assert 50 * 1024 < count < 70 * 1024
    assert memory.grown_mib < 100


def test_the_memory_would_be_seen():
    """The control."""
    memory = Memory()
    hog = bytearray(os.urandom(1)) * (120 * MIB)
    memory.look()
    assert memory.grown_mib > 100
    assert len(hog)


def test_the_stall_would_be_seen(scene, monkeypatch):
    """The control: a logger that is slow holds up the loop, and the beat says so."""
    trigger, log, _ = flooded(scene, monkeypatch, "one line", 0.25)
    monkeypatch.setattr(type(log), "info", lambda self, *_: time.sleep(0.6))
    _, stalled = asyncio.run(watched(trigger))
    assert stalled > 0.5
