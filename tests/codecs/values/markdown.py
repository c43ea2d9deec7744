"""Markdown."""

from airflow_provider_mlx.runtime import Markdown

UNDETECTED = dict.fromkeys(("cut short", "empty"), "any part of a text is a text")


def make():
    return Markdown("# Report\n\nä | b\n")
