"""Plain JSON, and what the wire adds to it."""

import math
from datetime import UTC, datetime


def make():
    return {"a": [1, None, True, "ä", 0.1, math.inf], "at": datetime(2026, 11, 23, 8, tzinfo=UTC), "b": {}}


def others():
    return {"a number": 3, "nothing": None, "a list": []}


def refused():
    return {"keys that are no text": {1: 2}, "an object in it": {"a": object()}}
