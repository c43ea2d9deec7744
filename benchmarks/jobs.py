"""One step through a real local job: what ``result.json`` says of it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.runtime.protocol import PROTOCOL
from airflow_provider_mlx.step.bundle import build_bundle, runtime_files
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec, ObjectReference


def run_job(folder: Path, source: str, function: str, arguments: list[Any], inputs: tuple[Any, ...]) -> dict[str, Any]:
    """
    Run a function of a module's text; its artifacts lie under ``folder``.

    :param inputs: the references among the arguments.
    """
    identity = TaskInstanceIdentity("bench", "large", "run", function)
    root = folder.as_uri()
    outputs = f"{root}/{identity.attempt_folder(1)}"
    bundle = build_bundle({**runtime_files(), "source/steps.py": source.encode()})
    context = json.dumps(
        {
            "protocol": PROTOCOL, "nonce": "bench", "step": identity.step(try_number=1, attempt=1),
            "payload": {"kind": "function", "module": "steps", "function": function},
            "arguments": {"args": arguments, "kwargs": {}},
            "outputs": {"uri": outputs, "inline_bytes": 1024, "multiple": False},
            "store": {"mounts": [], "allowed": [root]}, "environment": {"requirements": []},
        }
    ).encode()  # fmt: skip
    home = folder / identity.attempt_folder(1)
    home.mkdir(parents=True)
    (folder / "bundle.zip").write_bytes(bundle.data)
    (home / "context.json").write_bytes(context)
    backend = LocalBackend(LocalSettings(work_dir=str(folder / "work")))
    spec = JobSpec(
        identity=identity, attempt=1, name=identity.job_name(1), outputs_uri=outputs,
        bundle=ObjectReference(f"{root}/bundle.zip", bundle.sha256, bundle.size),
        context=ObjectReference(f"{outputs}/context.json", hashlib.sha256(context).hexdigest(), len(context)),
        inputs=tuple(ObjectReference(item["uri"], item["sha256"], item["size"]) for item in inputs),
    )  # fmt: skip
    handle = backend.submit(backend.plan(spec))
    while (found := backend.find(spec.name)) and found.status.state is State.ACTIVE:
        time.sleep(0.05)
    result = home / "result.json"
    if not result.exists():
        raise SystemExit("\n".join(backend.read_log(handle).lines))
    loaded: dict[str, Any] = json.loads(result.read_text())
    return loaded


def there_and_back(folder: Path, source: str, size: int) -> dict[str, dict[str, float]]:
    """
    ``make(size)`` in one job, ``use(value)`` in another: seconds and peak memory of writing and of reading.

    Seconds are the runtime's own split timings, which include hashing, and verifying what is read.
    """
    made = run_job(folder, source, "make", [size], ())
    artifact = made["outputs"]["return_value"]["artifact"]
    used = run_job(folder, source, "use", [artifact], (artifact,))
    return {
        "write": {"seconds": made["timings"]["upload"], "peak": made["peak_memory_bytes"]},
        "read": {"seconds": used["timings"]["download"], "peak": used["peak_memory_bytes"]},
    }
