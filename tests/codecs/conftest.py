"""``--group``: which frameworks are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.codecs.groups import SAME_VALUES, codecs_of

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--group", default="frameworks", choices=("frameworks", "torch"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = codecs_of(metafunc.config.getoption("--group"))
    if "codec_name" in metafunc.fixturenames:
        metafunc.parametrize("codec_name", names, scope="module")
    if "row_name" in metafunc.fixturenames:
        metafunc.parametrize("row_name", [name for name in names if name not in SAME_VALUES])
