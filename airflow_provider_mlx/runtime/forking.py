"""A child by fork: when it is whole, and what a supervisor may ask of it."""

from __future__ import annotations

import os
import sys


def may_fork() -> bool:
    """
    Whether a fork of this process is whole: one thread, counted by the kernel, on Linux.

    A store's client that has read the context may have threads of its own (obstore), which a fork would not have: the
    child would wait for them for ever. macOS's libraries do not survive a fork at all.
    """
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208


class ForkedProcess:
    """A forked child, with the part of ``subprocess.Popen`` that a supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code if the process is over, else None."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """The exit code, when the process is over; signals that come meanwhile are handled."""
        while self.returncode is None:
            self._look(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process is over."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, options: int) -> int | None:
        known = self.returncode
        if known is not None:
            return known
        try:
            found, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            # A signal came while this waited, and its handler has looked, too: what is over can be seen once.
            if self.returncode is None:
                raise
            return self.returncode
        if found:
            self.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.returncode
