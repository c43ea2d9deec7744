"""Bytes."""

UNDETECTED = dict.fromkeys(("cut short", "empty", "something else"), "any bytes are bytes")


def make():
    return b"\x00\xff"


def others():
    return {"a bytearray": bytearray(b"ab"), "no bytes": b""}
