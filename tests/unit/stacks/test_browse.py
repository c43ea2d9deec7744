"""The page of a folder in a store's console."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.stacks.browse import browse_url


@pytest.mark.parametrize(
    ("template", "url"),
    [
        pytest.param(
            "https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={key}/",
            "https://s3.console.aws.amazon.com/s3/buckets/ml?prefix=mlx/runs/a%20b/", id="bucket and key",
        ),
        pytest.param("https://x/?at={uri}", "https://x/?at=s3%3A%2F%2Fml%2Fmlx%2Fruns%2Fa%20b", id="the URI, quoted"),
        pytest.param(None, None, id="a stack that says nothing"),
    ],
)  # fmt: skip
def test_the_page_of_a_folder(template, url):
    assert browse_url(template, "s3://ml/mlx/runs/a b") == url
