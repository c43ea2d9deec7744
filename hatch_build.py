"""
At the building of a wheel or an sdist: the page "ML lineage" is in it.

In a checkout it is built with npm where that has not been done; an sdist carries it built, and needs no Node.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "airflow_provider_mlx/lineage/server/page/page.js"


class PageBuildHook(BuildHookInterface[Any]):
    """Hatchling's hook; see https://hatch.pypa.io/latest/plugins/build-hook/custom."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """
        Before files are collected.

        :raises RuntimeError: the page is not built, and cannot be built here.
        """
        page, sources = Path(self.root, PAGE), Path(self.root, "ui")
        if version == "editable" or is_built(page, sources):
            return
        if not sources.is_dir():
            raise RuntimeError(f"this source distribution lacks {PAGE} → take one that was published")
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the page `ML lineage` is not built → install Node.js 20.19 or newer, or run `make ui`")
        for command in ("ci", "run build"):
            subprocess.run([npm, *command.split()], cwd=sources, check=True)


def is_built(page: Path, sources: Path) -> bool:
    """Whether the page is there, and no source of it is newer."""
    if not page.exists():
        return False
    made = page.stat().st_mtime
    files = (path for path in sources.rglob("*") if path.is_file() and "node_modules" not in path.parts)
    return all(path.stat().st_mtime <= made for path in files)
