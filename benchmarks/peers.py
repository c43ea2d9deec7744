"""Others that store a value: each writes it in one process of its own and reads it in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ZENML_PYTHON = Path(".build/zenml/bin/python")

_MEASURED = """
import json, os, resource, sys, time
from pathlib import Path
mode, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
WHO = resource.RUSAGE_SELF
{value}
{peer}
if mode == "write":
    value = make(size)
    start = time.perf_counter()
    save(value)
    seconds = time.perf_counter() - start
else:
    start = time.perf_counter()
    value = load()
    seconds = time.perf_counter() - start
    use(value)
print("RESULT " + json.dumps({{"seconds": seconds, "peak": resource.getrusage(WHO).ru_maxrss * 1024}}))
"""


@dataclass(frozen=True)
class Peer:
    """
    One row of a comparison.

    :param script: defines ``save(value)`` and ``load()``; ``folder`` is its place on the disk.
    :param python: the interpreter that has it.
    :param largest: the size above which it is left out, and why that is so.
    """

    name: str
    script: str
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)
    largest: int = 2**63

    @property
    def here(self) -> bool:
        """Whether its interpreter was built."""
        return Path(self.python).exists()

    def there_and_back(self, folder: Path, source: str, size: int) -> dict[str, dict[str, float]]:
        """Seconds and peak memory of writing ``make(size)`` and of reading it."""
        folder.mkdir(parents=True)
        script = folder / "peer.py"
        script.write_text(_MEASURED.format(value=source, peer=self.script))
        env = {**os.environ, **{name: text.format(folder=folder) for name, text in self.env.items()}}
        answers = {}
        for mode in ("write", "read"):
            command = [self.python, str(script), mode, str(folder), str(size)]
            answer = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
            found = [text for text in answer.stdout.splitlines() if text.startswith("RESULT ")]
            if not found:
                raise SystemExit(f"{self.name} did not {mode}:\n{answer.stdout[-2000:]}\n{answer.stderr[-4000:]}")
            answers[mode] = json.loads(found[0].removeprefix("RESULT "))
        return answers


ZENML_STORE = """
from datetime import datetime, timezone
from uuid import uuid4
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType
now = datetime.now(timezone.utc)
store = LocalArtifactStore(
    name="bench", id=uuid4(), config=LocalArtifactStoreConfig(path=str(folder)), flavor="local",
    type=StackComponentType.ARTIFACT_STORE, user=uuid4(), created=now, updated=now,
)
(folder / "artifact").mkdir(exist_ok=True)
"""
ZENML_ENV = {
    "ZENML_CONFIG_PATH": "{folder}/zenml",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_LOGGING_VERBOSITY": "ERROR",
}
