"""A script that returns its arguments."""

from __future__ import annotations

import sys

from airflow_provider_mlx.runtime import current_step

current_step.result(sys.argv[1:])
