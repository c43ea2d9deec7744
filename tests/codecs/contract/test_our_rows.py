"""Every row of ours keeps the contract of codecs. Runs where the frameworks are, without Airflow."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.runtime.codecs import CODECS
from airflow_provider_mlx.testing import CodecContract
from tests.codecs.groups import values_of


@pytest.mark.usefixtures("may_unpickle")
class TestOurRows(CodecContract):
    @pytest.fixture
    def values(self, row_name):
        return values_of(row_name)

    @pytest.fixture
    def codec(self, row_name, values):
        self.values = values
        return CODECS[row_name]

    @pytest.fixture
    def examples(self, values, in_a_folder_of_its_own):
        return {"the first": values.make(), **getattr(values, "others", dict)()}

    @pytest.fixture
    def refused(self, values, in_a_folder_of_its_own):
        return getattr(values, "refused", dict)()

    @pytest.fixture
    def undetected(self, values):
        return getattr(values, "UNDETECTED", {})

    def same(self, value, loaded):
        same = getattr(self.values, "same", None)
        super().same(value, loaded) if same is None else same(value, loaded)
