"""``airflow-provider-mlx[all]`` beside the newest official providers: it resolves, holds nothing back, and brings no SDK."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.harness import ROOT

OFFICIAL: Final = ("apache-airflow-providers-amazon", "apache-airflow-providers-cncf-kubernetes")
NEVER: Final = ("kfp", "kfp-kubernetes", "kfp-pipeline-spec", "kfp-server-api")
"""What pins packages that the official providers need in other versions."""
AIRFLOWS: Final = ("2.11.2", "3.0.6", "3.1.8", "3.3.2")


def resolved(folder: Path, *arguments: str, requirements: Sequence[str]) -> Mapping[str, str]:
    """Name → version of what an installer would install."""
    source = folder / "requirements.in"
    source.write_text("\n".join(requirements))
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11", source]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("airflow", AIRFLOWS)
def test_all_extras_resolve_and_hold_back_nothing(tmp_path: Path, airflow: str) -> None:
    without = resolved(tmp_path, requirements=[f"apache-airflow=={airflow}", *OFFICIAL])
    ours = resolved(tmp_path, "pyproject.toml", "--extra", "all", requirements=[f"apache-airflow=={airflow}"])
    assert {name: ours[name] for name in OFFICIAL} == {name: without[name] for name in OFFICIAL}
    assert [name for name in NEVER if name in ours] == []
