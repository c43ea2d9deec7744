"""What can be wrong with a cluster, each with what to do next."""

from __future__ import annotations


class ClusterFailed(Exception):
    """A part of the cluster did not do what it should; the message names its log."""


class PartMissing(Exception):
    """This machine lacks something that the cluster needs; the message says how to get it."""


class ApiRefused(Exception):
    """The API server's answer was not a success."""

    def __init__(self, method: str, path: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
