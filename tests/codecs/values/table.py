"""Rows that a person should see as a table."""

from airflow_provider_mlx.runtime import Table


def make():
    return Table([{"a": 1, "b": float("inf")}, {"a": None, "c": "ä"}])


def others():
    return {"no rows": Table()}


def refused():
    return {"a row that is a list": Table([[1]]), "a cell that is an object": Table([{"a": object()}])}
