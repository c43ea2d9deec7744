"""Python imports this at its start when this folder is on PYTHONPATH: only the Airflows of the fault table have it."""

from __future__ import annotations

import os

if os.environ.get("MLX_FAULT_POINTS"):
    import mlx_fault_points

    mlx_fault_points.install(os.environ["MLX_FAULT_POINTS"])
