"""
Text of policies: wild cards, and variables.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .errors import Unsupported

Context = Mapping[str, str | Sequence[str]]
"""Condition keys and their values; a tuple is a key of several values."""

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z0-9-]+:[^,'${}]+|[*?$]")
_WILD: Final = {"*": ".*", "?": "."}


@dataclass(frozen=True)
class Filled:
    """
    A text of a policy with a request's values in the places of its variables.

    :param parts: pieces, and whether wild cards count in them; in a value they are letters as all others.
    """

    parts: tuple[tuple[str, bool], ...]

    @classmethod
    def plain(cls, text: str) -> Filled:
        """A text without variables."""
        return cls(((text, True),))

    @property
    def text(self) -> str:
        """As it is where no wild card counts."""
        return "".join(part for part, _ in self.parts)

    def is_like(self, value: str) -> bool:
        """Whether it matches all of a value."""
        return _expression(self.parts).fullmatch(value) is not None

    def is_like_arn(self, value: str) -> bool:
        """Whether it matches an ARN, each of whose six parts is matched alone (``ArnLike``)."""
        pattern, given = _arn(self.parts), value.split(":", 5)
        return len(pattern) == len(given) == 6 and all(
            Filled(one).is_like(other) for one, other in zip(pattern, given, strict=True)
        )


def filled(text: str, context: Context) -> Filled | None:
    """
    Put a request's values in the place of variables; ``None`` where it has no such value, since then the statement
    matches nothing.
    """
    known = {name.lower(): value for name, value in context.items()}
    parts: list[tuple[str, bool]] = []
    for number, piece in enumerate(_VARIABLE.split(text)):
        if number % 2 == 0:
            parts.append((piece, True))
        elif piece in ("*", "?", "$"):  # what would be a wild card or a variable, as a letter
            parts.append((piece, False))
        elif isinstance(value := known.get(piece.lower()), str):
            parts.append((value, False))
        else:
            return None
    return Filled(tuple(parts))


def check_variables(texts: Iterable[str]) -> None:
    """
    Whether the variables of texts can be judged.

    :raises Unsupported: one has a default, or is none.
    """
    for text in texts:
        for name in _VARIABLE.findall(text):
            if not _NAME.fullmatch(name):
                raise Unsupported(f"a policy variable that the endpoint cannot judge: {name}")


def _arn(parts: Iterable[tuple[str, bool]]) -> list[tuple[tuple[str, bool], ...]]:
    """The six parts of an ARN's pattern; colons of values divide nothing."""
    out: list[list[tuple[str, bool]]] = [[]]
    for text, wild in parts:
        pieces = text.split(":", 6 - len(out)) if wild else [text]
        out[-1].append((pieces[0], wild))
        out += [[(piece, wild)] for piece in pieces[1:]]
    return [tuple(one) for one in out]


@functools.lru_cache(4096)
def _expression(parts: tuple[tuple[str, bool], ...]) -> re.Pattern[str]:
    letters = [(_WILD.get(letter) if wild else None) or re.escape(letter) for text, wild in parts for letter in text]
    return re.compile("".join(letters), re.DOTALL)
