"""
Conditions on metrics: ``accuracy >= 0.95``, ``loss < champion.loss``, ``f1 >= champion.f1 - 0.01``; pure.

::

    condition   metric operator bound
    bound       number | champion.metric | champion.metric (+|-) number
    operator    >= | > | <= | <

A metric's name may hold letters, digits and ``_ . / : @ -``; one that looks like a bound is put in quotes.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt,
}  # fmt: skip

_NAME = r"""(?:[A-Za-z_][\w./:@-]*|"[^"]+")"""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CONDITION: Final = re.compile(
    rf"\s*(?P<metric>{_NAME})\s*(?P<operator>>=|<=|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|champion\.(?P<champion>{_NAME})\s*(?P<margin>[+-]\s*{_NUMBER})?)\s*"
)


@dataclass(frozen=True)
class Condition:
    """
    One condition.

    :param champion: the champion's metric that is the bound, with ``margin`` added; empty for a number.
    """

    text: str
    metric: str
    operator: str
    number: float = 0.0
    champion: str = ""
    margin: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of one condition: ``None`` where it had nothing to be compared with."""

    condition: Condition
    held: bool | None
    why: str


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """
    Read conditions.

    :raises InvalidStep: any of them is none; all problems at once.
    """
    found: list[Condition] = []
    problems: list[Problem] = []
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None:
            way = "write `metric >= 0.95`, `metric < champion.metric` or `metric >= champion.metric - 0.01`"
            problems.append(Problem(f"`{text}` is no condition", way))
            continue
        said = match.groupdict()
        found.append(Condition(
            text=" ".join(text.split()), metric=said["metric"].strip('"'), operator=said["operator"],
            number=float(said["number"] or 0), champion=(said["champion"] or "").strip('"'),
            margin=float("".join((said["margin"] or "0").split())),
        ))  # fmt: skip
    if not found and not problems:
        problems.append(Problem("there is no condition", "add one, as `accuracy >= 0.95`"))
    if problems:
        raise InvalidStep("the gate's conditions cannot be read", problems)
    return tuple(found)


def judge(
    conditions: Iterable[Condition], metrics: Mapping[str, float], champion: Mapping[str, float] | None
) -> tuple[Verdict, ...]:
    """
    Compare metrics with what is asked of them.

    :param champion: the metrics to compare with; ``None`` where there is no champion yet.
    :raises InvalidStep: a metric is missing. A metric that is not a number holds no condition.
    """
    wanted = list(conditions)
    missing = [_missing(item.metric, metrics, "the metrics") for item in wanted if item.metric not in metrics]
    if champion is not None:
        lacking = (item.champion for item in wanted if item.champion and item.champion not in champion)
        missing += [_missing(name, champion, "the champion's metrics") for name in lacking]
    if missing:
        raise InvalidStep("the gate has nothing to judge", list(dict.fromkeys(missing)))
    return tuple(_verdict(item, metrics, champion) for item in wanted)


def _verdict(item: Condition, metrics: Mapping[str, float], champion: Mapping[str, float] | None) -> Verdict:
    value = metrics[item.metric]
    if item.champion and champion is None:
        return Verdict(item, None, f"{value:g}, and there is no champion yet")
    bound = champion[item.champion] + item.margin if item.champion and champion is not None else item.number
    held = OPERATORS[item.operator](value, bound)
    return Verdict(item, held, f"{value:g} is {'' if held else 'not '}{item.operator} {bound:g}")


def _missing(name: str, metrics: Mapping[str, float], whose: str) -> Problem:
    near = difflib.get_close_matches(name, metrics, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(metrics)[:20]) or 'none'}"
    return Problem(f"{whose} have no `{name}`", hint)
