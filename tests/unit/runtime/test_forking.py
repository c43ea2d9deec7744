"""A forked child, and a signal that comes in the moment in which it ends."""

from __future__ import annotations

import os

from airflow_provider_mlx.runtime import forking
from airflow_provider_mlx.runtime.forking import ForkedProcess


def test_a_second_stop_while_the_child_ends_does_not_lose_how_it_ended(monkeypatch):
    """The handler of a signal looks whether there is somebody to tell, inside of the wait that it interrupts."""
    pid = os.fork()
    if pid == 0:
        os._exit(143)
    process, waits = ForkedProcess(pid), os.waitpid

    def interrupted(who: int, options: int) -> tuple[int, int]:
        if options == 0:
            while process.poll() is None:
                pass
        return waits(who, options)  # as Python does after the handler has returned: the wait goes on

    monkeypatch.setattr(forking.os, "waitpid", interrupted)
    assert process.wait() == 143


def test_a_child_that_somebody_else_has_waited_for_is_no_success(monkeypatch):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        ForkedProcess(pid).wait()
    except ChildProcessError:
        return
    raise AssertionError("it cannot know how the child ended")
