"""Several who write at once: nobody waits crosswise, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_mlx.lineage.store.opening import Store
from tests.unit.lineage.store.test_any_order import tables
from tests.unit.lineage.store.writers import write

EACH = 20


def written_by_one() -> set[str]:
    alone = Store.open("sqlite://")
    write(alone, 0, 4 * EACH)
    return tables(alone)


def test_threads(store):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: write(store, part * EACH, EACH), range(4)))
    assert tables(store) == written_by_one()


def test_processes_that_also_open_the_store_at_once(url):
    command = [sys.executable, "-m", "tests.unit.lineage.store.writers", url]
    processes = [subprocess.Popen([*command, str(part * 2 * EACH), str(2 * EACH)]) for part in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    store = Store.open(url)
    found = tables(store)
    store.close()
    assert found == written_by_one()
