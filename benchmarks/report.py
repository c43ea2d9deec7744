"""One line per comparison: our median, the peer's, and their ratio."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def line(
    what: str, ours: Sequence[float], peer_name: str, peer: Sequence[float], *, unit: str, less_is_better: bool = True
) -> None:
    """Print medians with their ranges; the ratio says how many times better we are."""
    our_median, peer_median = median(ours), median(peer)
    ratio = peer_median / our_median if less_is_better else our_median / peer_median
    print(
        f"{what}: ours {_range(ours)} {unit} · {peer_name} {_range(peer)} {unit} · "
        f"{ratio:.1f} × {'better' if ratio >= 1 else 'of it: the peer is better'} (n={len(ours)}/{len(peer)})",
        flush=True,
    )


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.3g} [{min(values):.3g}–{max(values):.3g}]"
