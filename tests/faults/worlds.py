"""Which Airflow a row needs: most share one; what would break it for others gets one of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class World:
    """
    One kind of Airflow.

    :param name: of its folder.
    :param team: whom all DAGs and the job server's connection belong to, where there are teams.
    """

    name: str
    team: str = ""

    def variables(self, dags: Path) -> Mapping[str, str]:
        """Airflow's settings for it."""
        if not self.team:
            return {}
        bundle = {
            "name": self.team, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(dags), "refresh_interval": 5}, "team_name": self.team,
        }  # fmt: skip
        return {
            "AIRFLOW__CORE__MULTI_TEAM": "True",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        }

    def connection_variable(self, conn_id: str) -> str:
        """Where Airflow's environment backend looks for a connection; one of a team is seen by its tasks alone."""
        owner = f"_{self.team.upper()}___" if self.team else ""
        return f"AIRFLOW_CONN_{owner}{conn_id.upper()}"

    def options(self, part: str) -> tuple[str, ...]:
        """Further arguments of a part: a team's triggers run in a triggerer of the team."""
        return ("--team-name", self.team) if self.team and part == "triggerer" else ()


ORDINARY: Final = World("lab")
FORGETFUL: Final = World("forgetful")
"""Its database is replaced and DAGs are deleted: what other rows left there would be lost."""
TEAMS: Final = World("teams", team="red")
