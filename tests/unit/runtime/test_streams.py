"""The lines of one rank among those of others, on a real descriptor."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

import airflow_provider_mlx
from airflow_provider_mlx.runtime.member import Member
from airflow_provider_mlx.runtime.rank_lines import MAX_LINE_BYTES
from airflow_provider_mlx.runtime.streams import stream_of

ROOT = os.path.dirname(os.path.dirname(airflow_provider_mlx.__file__))


def printed(body: str) -> str:
    code = "import sys\nfrom airflow_provider_mlx.runtime.member import Member\n"
    code += "from airflow_provider_mlx.runtime.streams import stream_of\n"
    code += "sys.stdout = stream_of(Member(True, 1, 3, several=True), 1)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(body)], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        pytest.param("print('a'); print('b\\nc')", ["[rank 3] a", "[rank 3] b", "[rank 3] c"], id="each line"),
        pytest.param("print('a', 1, end=''); print('b')", ["[rank 3] a 1b"], id="a line in pieces is one line"),
        pytest.param("print('open', end='', flush=True)", ["[rank 3] open"], id="a last line without its end"),
        pytest.param("print()", ["[rank 3] "], id="an empty line"),
        pytest.param("print('ä\\ud800')", ["[rank 3] ä\\ud800"], id="what UTF-8 cannot say"),
        pytest.param("import os; os.write(sys.stdout.fileno(), b'native\\n')", ["native"], id="other code's writes"),
    ],
)
def test_what_is_printed(body, lines):
    assert printed(body).splitlines() == lines


def test_a_progress_bar_without_a_lines_end_is_shown_before_it_ends(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as file:
        stream = stream_of(Member(True, several=True), file.fileno())
        for _ in range(MAX_LINE_BYTES // 1024):
            assert log.stat().st_size == 0
            stream.write("\r" + "=" * 1023)
        assert log.read_bytes().startswith(b"[rank 0] \r===")


def test_a_signal_handler_may_print_while_a_line_is_printed():
    said = printed("""
        import signal
        count = [0]
        def tell(*_):
            count[0] += 1
            print("handler", flush=True)
        signal.signal(signal.SIGALRM, tell)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while count[0] < 50:
            print("line", flush=True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("done", count[0])
    """)
    assert said.count("handler") == int(said.split()[-1])
