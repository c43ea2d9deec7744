"""A file that the step wrote."""

from pathlib import Path

UNDETECTED = dict.fromkeys(("cut short", "empty", "something else"), "a file's bytes are its own affair")


def make():
    path = Path("model.tar.gz")
    path.write_bytes(b"abc")
    return path


def same(made, got):
    assert got.read_bytes() == made.read_bytes()


def refused():
    return {"one that was not written": Path("nothing.bin")}
