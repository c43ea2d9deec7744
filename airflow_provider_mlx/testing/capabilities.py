"""What each backend can do, as a table: generated from the same ``cannot`` that a plan refuses from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from airflow_provider_mlx.backends.base import Backend

FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu": ("cpu",),
    "memory": ("memory",),
    "gpu": ("gpu",),
    "fractional gpu": ("fractional_gpu", "gpu"),
    "nodes": ("nodes",),
    "launcher": ("launcher",),
    "spot": ("spot",),
    "shm": ("shm",),
    "disk": ("disk",),
    "priority": ("priority",),
    "timeout": ("timeout",),
    "container command": ("command", "image"),
    "image": ("image",),
    "function": ("function",),
    "script": ("script",),
    "entry point": ("entrypoint",),
    "secrets": ("secrets",),
}
"""Feature → the names of ``cannot`` that refuse it, the most telling first."""

_YES: Final = "✓"


def capability_row(kind: type[Backend]) -> dict[str, str]:
    """Feature → ``✓``, ``✓ with`` a setting of the target, or ``refused: reason``, in the order of the table."""
    row = {}
    for feature, names in FEATURES.items():
        reason = next((kind.cannot[name] for name in names if name in kind.cannot), None)
        setting = next((kind.with_setting[name] for name in names if name in kind.with_setting), None)
        if reason is not None:
            row[feature] = f"refused: {reason.partition(' → ')[0]}"
        else:
            row[feature] = _YES if setting is None else f"{_YES} with `{setting}`"
    row["deferral"] = _YES if kind.defers else "refused: a waiting task keeps its worker slot"
    return row


def capability_matrix(backends: Iterable[type[Backend]]) -> str:
    """A Markdown table: features down, backends across."""
    kinds = list(backends)
    rows = [capability_row(kind) for kind in kinds]
    lines = [_line(["", *(f"`{kind.name}`" for kind in kinds)]), _line(["---"] * (len(kinds) + 1))]
    lines += [_line([feature, *(row[feature] for row in rows)]) for feature in (rows[0] if rows else ())]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
