"""Counts words: an ordinary script, which also runs by hand (``python count.py --text "a b a" --run here``)."""

from __future__ import annotations

import argparse

from words import split

from airflow_provider_mlx.runtime import current_step

parser = argparse.ArgumentParser()
parser.add_argument("--text", required=True)
parser.add_argument("--run", required=True)
arguments = parser.parse_args()

counts: dict[str, int] = {}
for word in split(arguments.text):
    counts[word] = counts.get(word, 0) + 1
print(f"run {arguments.run}: {counts}")
current_step.result(counts)
