"""Names that the driver and its DAGs share."""

from __future__ import annotations

from typing import Final

DEPLOYMENT: Final = "faults"
CONN_ID: Final = "faults_remote"
