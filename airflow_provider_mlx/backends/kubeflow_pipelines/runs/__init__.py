"""Runs of whole pipelines: compiled ones, and those that are registered on the server."""
