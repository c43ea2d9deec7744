"""What the lab asks of a system that runs the steps' jobs, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from .gate import Gate


class System(Protocol):
    """
    One system, reached through a gate.

    :ivar gate: what Airflow talks to instead of it.
    :ivar mirror: the artifact root as a folder, where the steps' root is none itself.
    """

    gate: Gate
    mirror: Path | None

    def connections(self) -> dict[str, dict[str, Any]]:
        """Airflow's connections to it."""

    def targets(self) -> dict[str, dict[str, Any]]:
        """Name → target of the lab's own stack."""

    def stacks(self, limits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Further stacks by name; ``limits``: suffix of a target's name → its ``max_runtime``."""

    def created(self, run_id: str) -> int:
        """How many jobs of a run were made."""

    def stops(self, run_id: str) -> int:
        """How many of them were asked to stop."""

    def take_name(self, name: str, target: str, seconds: int) -> None:
        """Make somebody else's job under a name."""

    def is_untouched(self, name: str, target: str) -> bool:
        """Whether that job goes on as it was made; it is ended then."""

    def look(self) -> None:
        """Bring what was noted up to date."""

    def close(self) -> None:
        """End everything."""
