"""
Put others' operators to the fault table: ``python -m tests.faults.peers.run --rows killed --out peers.jsonl``.

The same driver and the same judge as for ours. The exit status says only whether it ran: how others fare fails nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.e2e.harness import Environment
from tests.faults.run import run_cases
from tests.faults.table import Outcome, append, markdown

from .lab import PeerLab
from .subjects import PEER_ROWS, PEERS


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", default=",".join(PEERS), help="separated by commas; all by default")
    parser.add_argument("--rows", default="", help="words of the rows' names, separated by commas")
    parser.add_argument("--out", type=Path, help="a file for JSON lines; a table in Markdown is written beside it")
    parser.add_argument("--at-once", type=int, default=3, help="cases beside each other")
    parser.add_argument("--environment", default="peers", help="a folder of .build")
    parser.add_argument("--keep", type=Path, help="a new folder for everything; it is kept")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    given = parser.parse_args(argv)
    words = [word.strip() for word in given.rows.split(",") if word.strip()]
    rows = [row for row in PEER_ROWS if not words or any(word in row.name for word in words)]
    if given.list:
        print("\n".join(row.name for row in rows))
        return 0
    with tempfile.TemporaryDirectory(prefix="mlx-peers-", ignore_cleanup_errors=True) as scratch:
        lab = PeerLab(given.keep or Path(scratch) / "lab", environment=Environment(given.environment))

        def end(*_: object) -> None:
            lab.stop()
            os._exit(143)  # threads that still wait for something must not keep this process

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)

        def tell(outcome: Outcome) -> None:
            print(("wrong" if outcome.wrong else "right"), outcome.row, outcome.subject, *outcome.wrong, flush=True)
            if given.out:  # without the evidence, which is long and about this machine; --keep keeps it
                append(given.out, replace(outcome, evidence=None))

        try:
            cases = lab.cases(rows, [PEERS[name] for name in given.subjects.split(",")])
            lab.start()
            outcomes = run_cases(cases, tell, at_once=given.at_once)
        finally:
            lab.stop()
    order = {row.name: number for number, row in enumerate(rows)}
    table = markdown(sorted(outcomes, key=lambda outcome: (order[outcome.row], outcome.subject)))
    print(table)
    if given.out:
        given.out.with_suffix(".md").write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
