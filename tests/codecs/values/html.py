"""HTML."""

from airflow_provider_mlx.runtime import Html

UNDETECTED = dict.fromkeys(("cut short", "empty"), "any part of a text is a text")


def make():
    return Html("<h1>Repört</h1>")
