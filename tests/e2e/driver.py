"""
Runs DAGs one after another with ``dag.test()``, as ``airflow dags test`` does, but with one start of Airflow for all.

Run by ``harness.Drive`` in the interpreter under test: ``python driver.py '[["dag_id", {"conf": 1}], …]'``. A value
``"run:other"`` in a conf becomes the id of the run of ``other``. What came out is read from Airflow's database.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from typing import Any


def main() -> None:
    """Run every DAG that the command line names, whatever becomes of the others."""
    runs: dict[str, str] = {}
    for dag_id, conf in json.loads(sys.argv[1]):
        print(f"=== driver: {dag_id} ", flush=True)
        dag = find(dag_id)
        known = {key: runs[value[4:]] if str(value).startswith("run:") else value for key, value in conf.items()}
        runs[dag_id] = dag.test(run_conf=known).run_id
        sys.stdout.flush()
        sys.stderr.flush()


def find(dag_id: str) -> Any:
    """A DAG from the DAGs folder."""
    errors: dict[str, str] = {}
    for bag in bags():
        errors |= bag.import_errors
        if dag_id in bag.dags:
            return bag.dags[dag_id]
    raise SystemExit(f"there is no DAG {dag_id}: {errors}")


def bags() -> Any:
    """The DAGs folder, as each Airflow reads it."""
    if importlib.util.find_spec("airflow.sdk") is None:
        from airflow.models.dagbag import DagBag

        yield DagBag(include_examples=False, read_dags_from_db=False)
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    if importlib.util.find_spec("airflow.dag_processing.dagbag"):
        from airflow.dag_processing.dagbag import BundleDagBag
    else:  # Airflow 3.0 and 3.1
        from airflow.models.dagbag import DagBag as BundleDagBag

    for bundle in DagBundlesManager().get_all_dag_bundles():
        bundle.initialize()
        given = {"bundle_path": bundle.path, "bundle_name": bundle.name}
        known = inspect.signature(BundleDagBag).parameters  # Airflow 3.0 knows no names of bundles here
        yield BundleDagBag(dag_folder=str(bundle.path), **{name: given[name] for name in given if name in known})


if __name__ == "__main__":
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    main()
