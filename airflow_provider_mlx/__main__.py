"""``python -m airflow_provider_mlx``."""

from __future__ import annotations

import sys

from .cli.main import main

sys.exit(main(sys.argv[1:]))
