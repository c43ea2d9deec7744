"""Secrets that are planted, and a scanner that finds them again, also in the disguises that a copy may wear."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus


@dataclass
class Canaries:
    """Planted secrets by the place where they were planted; none is a word that anything else would say."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, place: str, *, odd: bool = False) -> str:
        """
        A new secret.

        :param odd: with characters that URLs encode, as passwords have them.
        """
        value = f"c4nary{secrets.token_hex(10)}" + ("/+ =" if odd else "")
        return self.planted.setdefault(place, value)

    def found_in(self, where: Mapping[str, Any]) -> list[str]:
        """``place in name`` for every secret in one of the texts, files or JSON-like values of ``where``."""
        return [
            f"{place} in {name}"
            for name, content in where.items()
            for place, secret in self.planted.items()
            if any(form in data for data in _bytes_of(content) for form in disguises(secret))
        ]


def disguises(secret: str) -> set[bytes]:
    """The secret itself, percent-encoded, in JSON, in hexadecimal, and in base64 at each offset."""
    raw = secret.encode()
    forms = {raw, quote(secret).encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    forms |= {json.dumps(secret)[1:-1].encode(), raw.hex().encode()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        whole = encoded[-(-offset * 8 // 6) : len(encoded) - 4]  # without the characters that neighbours change
        forms |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    return forms


def _bytes_of(content: Any) -> Iterator[bytes]:
    """Everything that a value says: text, bytes, exceptions with their causes, JSON-like values, anything by repr."""
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, str):
        yield content.encode("utf-8", "surrogatepass")
    elif isinstance(content, Path):
        yield content.read_bytes()
        yield str(content).encode()
    elif isinstance(content, BaseException):
        for error in chain_of(content):
            yield f"{error}\n{error!r}\n{error.args!r}\n{getattr(error, '__notes__', '')}".encode()
            yield repr({key: str(value) for key, value in vars(error).items()}).encode()
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _bytes_of(key)
            yield from _bytes_of(value)
    elif isinstance(content, (list, tuple, set, frozenset)):
        for item in content:
            yield from _bytes_of(item)
    else:
        yield repr(content).encode()


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything that a printed traceback shows below it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def files_under(*folders: Path) -> dict[str, Path]:
    """Every file, by its path."""
    return {str(file): file for folder in folders for file in folder.rglob("*") if file.is_file()}


def shown(lines: Iterable[Any]) -> str:
    """Log records as one text, tracebacks included."""
    import logging

    return "\n".join(logging.Formatter("%(message)s").format(line) for line in lines)
