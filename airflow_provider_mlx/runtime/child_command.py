"""The command of the child process; apart from ``child.py``, which the supervisor does not import."""

from __future__ import annotations

# The empty entry of `sys.path` is the current folder: the user's files must not stand before the standard library while
# the runtime loads.
CHILD_COMMAND = (
    "import sys\n"
    "sys.path[:]=[sys.argv[1]]+[p for p in sys.path if p]\n"
    "from airflow_provider_mlx.runtime.child import main\n"
    "main()"
)
