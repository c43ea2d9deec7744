"""What a step logged over time."""

from pathlib import Path

from airflow_provider_mlx.runtime.shown import Series

UNDETECTED = {"empty": "a step may have logged no point", "cut short": "it may have logged fewer"}


def make():
    path = Path("points.jsonl")
    path.unlink(missing_ok=True)
    series = Series(path)
    for step, value in enumerate((0.5, float("inf"), 0.25)):
        series.append({"name": "loss", "step": step, "value": value, "at": "2026-11-23T08:00:00.000+00:00"})
    return series


def others():
    return {"no point": Series(Path("none.jsonl"))}


def same(made, got):
    assert got == list(made)
