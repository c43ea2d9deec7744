"""Another process that writes into a store: ``python -m … URL NAME COUNT``."""

from __future__ import annotations

import sys

from airflow_provider_mlx.lineage.store.opening import Store
from tests.unit.lineage.store.conftest import OURS, data, told


def write(store: Store, first: int, count: int) -> None:
    """Each run reads what is everybody's and writes its own; ends and starts come in parts."""
    for number in range(first, first + count):
        shared = [data("shared", "1"), data(f"mine{number % 7}")]
        start = told(f"dag.task{number % 5}", number, "START", number % 60, inputs=shared, parent=("dag", 1))
        end = told(f"dag.task{number % 5}", number, "COMPLETE", 60 + number % 60, inputs=shared,
                   outputs=[data(f"out{number % 3}", str(number), places=(f"place/{number}",))])  # fmt: skip
        store.ingest([end, start] if number % 2 else [start, end], OURS)


if __name__ == "__main__":
    opened = Store.open(sys.argv[1])
    write(opened, int(sys.argv[2]), int(sys.argv[3]))
    opened.close()
