"""One line per comparison: our median, the peer's, and their ratio."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

Turn = Mapping[str, Mapping[str, float]]
"""``write`` and ``read``, each with ``seconds`` and ``peak`` (bytes)."""


def line(
    what: str, ours: Sequence[float], peer_name: str, peer: Sequence[float], *, unit: str, less_is_better: bool = True
) -> None:
    """Print medians with their ranges; the ratio says how many times better we are."""
    our_median, peer_median = median(ours), median(peer)
    better, worse = (peer_median, our_median) if less_is_better else (our_median, peer_median)
    ratio = better / worse if worse else math.inf
    print(
        f"{what}: ours {_range(ours)} {unit} · {peer_name} {_range(peer)} {unit} · "
        f"{ratio:.1f} × {'better' if ratio >= 1 else 'of it: the peer is better'} (n={len(ours)}/{len(peer)})",
        flush=True,
    )


def turns(measure: Callable[[], Turn], folder: Path, times: int) -> list[Turn]:
    """Measure several times; what each leaves in the folder is removed."""
    found = []
    for _ in range(times):
        found.append(measure())
        shutil.rmtree(folder)
    return found


def compare(
    what: str,
    mebibytes: float,
    ours: Sequence[Turn],
    peer_name: str,
    peer: Sequence[Turn],
) -> None:
    """Four lines: MiB/s and peak memory, of writing and of reading."""
    for verb in ("write", "read"):
        line(
            f"{what}, {verb}", [mebibytes / turn[verb]["seconds"] for turn in ours],
            peer_name, [mebibytes / turn[verb]["seconds"] for turn in peer], unit="MiB/s", less_is_better=False,
        )  # fmt: skip
        line(
            f"{what}, {verb}, peak memory", [turn[verb]["peak"] / 2**30 for turn in ours],
            peer_name, [turn[verb]["peak"] / 2**30 for turn in peer], unit="GiB",
        )  # fmt: skip


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.3g} [{min(values):.3g}–{max(values):.3g}]"
