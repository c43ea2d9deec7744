"""Durations as people write them: ``90s``, ``15m``, ``1h30m``, ``2d``, ISO 8601 ``PT4H``, or a number of seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

LONGEST: Final = timedelta(days=366)
"""No limit of a step is longer: what looks longer is a number of milliseconds, or a missing unit."""

FORMS: Final = "write `90s`, `15m`, `4h`, `2d`, `PT4H`, or a number of seconds"

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_SHORT: Final = re.compile(rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?", re.ASCII)
_ISO: Final = re.compile(
    rf"P(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?", re.ASCII
)
_PLAIN: Final = re.compile(_NUMBER, re.ASCII)
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_LONGEST_TEXT: Final = 64
_HUGE: Final = 2**53


def parse_duration(value: object, *, field: str = "") -> timedelta:
    """
    Read a duration.

    :param value: text, a number of seconds, or a ``timedelta``.
    :param field: the name that an error shows, as ``max_runtime``.
    :raises InvalidStep: the value is not a duration, is not positive, or is longer than :data:`LONGEST`.

    ISO 8601's years, months and weeks are refused: the first two have no fixed length.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise _refusal(f"{_shown(value)} is not a duration", FORMS, field)
    if not seconds > 0:
        raise _refusal(f"{_shown(value)} is not longer than zero", "leave it out for no limit, or " + FORMS, field)
    if seconds > LONGEST.total_seconds():
        raise _refusal(f"{_shown(value)} is longer than {LONGEST.days} days", FORMS, field)
    duration = timedelta(seconds=seconds)
    if not duration:
        raise _refusal(f"{_shown(value)} is shorter than a microsecond", FORMS, field)
    return duration


def format_duration(duration: timedelta) -> str:
    """
    Write a duration the short way, as ``1h30m``; :func:`parse_duration` reads it back.

    :param duration: not negative; zero is ``0s``.
    """
    whole, microseconds = divmod(duration // timedelta(microseconds=1), 1_000_000)
    parts = []
    for unit, length in _UNITS[:-1]:
        count, whole = divmod(whole, length)
        if count:
            parts.append(f"{count}{unit}")
    if microseconds:
        parts.append(f"{whole}.{microseconds:06d}".rstrip("0") + "s")
    elif whole or not parts:
        parts.append(f"{whole}s")
    return "".join(parts)


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return float(max(-_HUGE, min(value, _HUGE)))
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return None
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return float(text)
    match = _SHORT.fullmatch(text) or _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(count) * length for count, (_, length) in zip(match.groups(), _UNITS, strict=True) if count)


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > _HUGE:
        return "a huge number"
    text = value if isinstance(value, str) else repr(value)
    return f"`{text[:40]}…`" if len(text) > 40 else f"`{text}`"


def _refusal(what: str, remedy: str, field: str) -> InvalidStep:
    problem = Problem(what=what, remedy=remedy, field=field)
    return InvalidStep(f"{field or 'a duration'} cannot be read", [problem])
