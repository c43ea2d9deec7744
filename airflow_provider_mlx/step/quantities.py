"""
Kubernetes quantities as numbers.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ : a decimal number and a
suffix, binary (Ki … Ei) or decimal (n, u, m, k, M … E), or a decimal exponent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))(?P<suffix>([eE][+-]?[0-9]{1,2})|[numkKMGTPE]i?|)"
)

_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


_LARGEST: Final = Decimal(2**63 - 1)


def parse_quantity(text: str | float) -> Decimal:
    """
    Read a quantity, as ``"500m"``, ``"1.5"``, ``"16Gi"`` or ``2``.

    :raises ValueError: it is not a quantity, it is negative, or over Kubernetes' largest, 2⁶³ - 1.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or ((suffix := match["suffix"]).isalpha() and suffix not in _SUFFIXES):
        raise ValueError(f"{text!r} is not a quantity; write it as Kubernetes does, like 500m, 2, 16Gi or 1.5G")
    number = Decimal(match["number"])
    if number < 0:
        raise ValueError(f"{text!r} is negative")
    amount = number * (_SUFFIXES[suffix] if suffix in _SUFFIXES else Decimal(f"1{suffix}"))
    if amount > _LARGEST:
        raise ValueError(f"{text!r} is more than Kubernetes can say (2⁶³ - 1)")
    return amount


def parse_bytes(text: str | float) -> int:
    """
    Read an amount of memory or disk in bytes, rounded up.

    :raises ValueError: it is not a quantity, or less than one byte.
    """
    amount = int(parse_quantity(text).to_integral_value(rounding=ROUND_CEILING))
    if amount < 1:
        raise ValueError(f"{text!r} is less than one byte")
    return amount
