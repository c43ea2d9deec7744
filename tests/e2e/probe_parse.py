"""
Parses the DAGs folder in this interpreter and says what that did, as JSON on the last line of standard output.

Run by ``test_parse.py``: ``python probe_parse.py``. The hook is there before our package is.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import task
from airflow.serialization.serialized_objects import DagSerialization

conf.get("core", "dags_folder")
assert task.python, "the decorators that Airflow brings are looked up, so that only ours is new"

opened: list[str] = []
network: list[str] = []
started: list[str] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what is opened for reading, connected to, and started. Source: the audit events table of Python's manual."""
    if event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])
    elif event in ("socket.connect", "socket.getaddrinfo"):
        network.append(f"{event} {arguments[1:]}")
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        started.append(str(arguments[0]))


modules_before = set(sys.modules)
sys.addaudithook(watch)
dags: dict[str, Any] = {}
errors: dict[str, str] = {}
for bundle in DagBundlesManager().get_all_dag_bundles():
    bundle.initialize()
    bag = BundleDagBag(dag_folder=str(bundle.path), bundle_path=bundle.path, bundle_name=bundle.name)
    dags |= bag.dags
    errors |= bag.import_errors
seen = {"opened": list(opened), "network": list(network), "started": list(started)}
modules = {name for name in set(sys.modules) - modules_before if name.startswith("airflow_provider_mlx")}

answer = {
    **seen,
    "prefixes": sorted({sys.prefix, sys.base_prefix}),
    "errors": errors,
    "modules": sorted(sys.modules),
    "ours": sorted(modules),
    "hashes": {name: SerializedDagModel.hash(DagSerialization.to_dict(dag)) for name, dag in sorted(dags.items())},
}
print("\n" + json.dumps(answer))
