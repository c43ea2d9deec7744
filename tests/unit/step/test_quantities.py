"""Kubernetes quantities, as its own documentation writes them."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.step.quantities import parse_bytes, parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"), ("2", "2"), (2, "2"), (0.5, "0.5"), ("1.5", "1.5"), (".5", "0.5"), ("5.", "5"), ("+1", "1"),
        ("16Gi", str(16 * 2**30)), ("1.5G", "1500000000"), ("1k", "1000"), ("1Ki", "1024"), ("1e3", "1000"),
        ("1E3", "1000"), ("1E", str(10**18)), ("1Ei", str(2**60)), ("100n", "1e-7"), ("100u", "1e-4"),
        (" 1Mi ", "1048576"),
        ("0", "0"), ("12e-1", "1.2"),
    ],
)  # fmt: skip
def test_a_quantity(text, amount):
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    ["", "Gi", "1 Gi", "1GB", "1gi", "1K", "1mi", "1ki", "1ui", "abc", "1e", "1e+", "--1", "1,5", "١", "0x10", "nan",
     "inf", True, None, "1e999999999", "1e99", "9Ei", "10E"],
)  # fmt: skip
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match=r"is not a quantity|more than Kubernetes"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["-1", "-1Gi", "-0.1"])
def test_nothing_is_negative(text):
    with pytest.raises(ValueError, match="is negative"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("1.5", 2), ("1500m", 2), ("0.1Ki", 103), ("1Gi", 2**30), (16_000_000_000.0, 16 * 10**9)],
)
def test_bytes_are_rounded_up(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["0", "0Gi", 0])
def test_less_than_a_byte_is_nothing(text):
    with pytest.raises(ValueError, match="less than one byte"):
        parse_bytes(text)


@given(st.integers(0, 2**40), st.sampled_from(["", "k", "Ki", "m", "M", "Mi"]))
def test_a_suffix_only_scales(number, suffix):
    assert parse_quantity(f"{number}{suffix}") == number * parse_quantity(f"1{suffix}")


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert parse_quantity(text) >= 0
