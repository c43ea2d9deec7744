"""
Secrets out of free text, before it leaves the worker.

Airflow masks what it knows as a secret and values under sensitive keys; a message such as ``password=…`` it lets
through. What is masked here by mistake costs a word of a message; what is not masked is published.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
MESSAGE_LIMIT: Final = 2000
"""Characters of a message in an event."""

_READ_LIMIT: Final = 64 * 1024
"""Characters of a text that are looked at; what is behind is dropped."""

_STEMS: Final = (
    "password", "passwd", "passphrase", "secret", "credential", "apikey", "api_key", "api-key", "access_key",
    "access-key", "accesskey", "private_key", "private-key", "privatekey", "account_key", "accountkey", "auth_token",
    "connection_string", "connectionstring", "signature",
)  # fmt: skip
"""Sensitive wherever they stand in a name."""

_WORDS: Final = frozenset({"token", "pwd", "pass", "pw", "auth", "authorization", "bearer", "sas", "sig", "dsn", "cookie", "jwt", "key"})  # fmt: skip # noqa: E501
"""Sensitive as a word of a name: ``hf_token`` is, ``max_tokens`` and ``tokenizer`` are parameters of models."""

_HARMLESS: Final = frozenset({"key"})
"""Sensitive only at the end of a longer name: ``storage_key`` may be one, ``key`` alone is a column."""

_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_NAME: Final = r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]+"
"""A whole word, so that a long one is looked at once and not from each of its letters."""

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}-----(?:(?!-----END )[\s\S])*(?:-----END [A-Z0-9 ]{0,40}-----)?")
_HEADER: Final = re.compile(r"(?i)\b((?:proxy-)?authorization|cookie|set-cookie|x-[a-z0-9-]*(?:token|key))(['\"]?\s*[:=]\s*)[^\n]*")  # fmt: skip # noqa: E501
_SCHEMED: Final = re.compile(r"(?i)\b(bearer(?=\s+\S{4})|basic(?=\s+[A-Za-z]*[0-9+/=]))\s+[A-Za-z0-9._~+/=:-]+")
_URL: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s'\"<>`]+)")
_QUOTED: Final = re.compile(rf"(['\"]?)({_NAME})\1(\s*[:=]\s*)(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')")
_ASSIGNED: Final = re.compile(rf"({_NAME})(=)([^\s'\"][^\s]*)")
_SPACED: Final = re.compile(rf"(['\"]?)({_NAME})\1(\s*:\s*|\s+=\s*|=\s+)([^\s'\"\[{{][^\n]*)")
_OPTION: Final = re.compile(r"(?<![A-Za-z0-9_.-])(-[A-Za-z0-9_.-]+)(\s+)([^\s-][^\s]*)")
_SHAPES: Final = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?|\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
)
"""Tokens that are known by their form alone."""


def is_sensitive(name: str) -> bool:
    """Whether the value under this name must not be shown."""
    lower = name.lower()
    if any(stem in lower for stem in _STEMS):
        return True
    words = [word.lower() for word in _SPLIT.split(name) if word]
    return any(word in _WORDS and (word not in _HARMLESS or (index and index == len(words) - 1))
               for index, word in enumerate(words))  # fmt: skip


def scrub(text: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """
    The text without what looks like a secret, at most ``limit`` characters long.

    :param limit: characters; a longer text ends in ``…``.
    """
    text = _beginning(text)
    text = _PEM.sub(MASK, text)
    text = _HEADER.sub(rf"\1\2{MASK}", text)
    text = _SCHEMED.sub(rf"\1 {MASK}", text)
    text = _URL.sub(lambda match: match[1] + _clean_url(match[2]), text)
    text = _QUOTED.sub(lambda m: f"{m[1]}{m[2]}{m[1]}{m[3]}{MASK}" if is_sensitive(m[2]) else m[0], text)
    text = _ASSIGNED.sub(lambda m: f"{m[1]}{m[2]}{MASK}" if is_sensitive(m[1]) else m[0], text)
    text = _masked_to_the_line_end(text)
    text = _OPTION.sub(lambda m: f"{m[1]}{m[2]}{MASK}" if is_sensitive(m[1]) else m[0], text)
    text = _SHAPES.sub(MASK, text)
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def _beginning(text: str) -> str:
    """As much as is looked at; a word that is cut in two goes whole, since half a URL hides its password's mark."""
    if len(text) <= _READ_LIMIT:
        return text
    head = text[:_READ_LIMIT]
    return head[: max(head.rfind(" "), head.rfind("\n"), 0)] + " …"


def _masked_to_the_line_end(text: str) -> str:
    """``password: two words``: where a value has no mark at its end, the rest of the line is the value."""
    lines = []
    for line in text.split("\n"):
        position = 0
        while (match := _SPACED.search(line, position)) is not None:
            if is_sensitive(match[2]) and not match[4].startswith(MASK):
                line = line[: match.start(4)] + MASK
                break
            position = match.start(4)
        lines.append(line)
    return "\n".join(lines)


def _clean_url(rest: str) -> str:
    """The part of a URL after ``://`` without user information, query and fragment."""
    place = re.split(r"[?#]", rest, maxsplit=1)
    authority, slash, path = place[0].partition("/")
    user, at, host = authority.rpartition("@")
    if at:  # `container@account` of Azure is a place; anything with a colon is a login
        known = ".core.windows.net" in host and ":" not in user
        authority = f"{user}@{host}" if known else f"{MASK}@{host}"
    return f"{authority}{slash}{path}" + (f"?{MASK}" if len(place) > 1 else "")
