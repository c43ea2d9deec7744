"""An address leads to its page, and lets nobody in."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.lineage.pages import LIMIT, page_address
from tests.unit.lineage.conftest import CANARY

SAGEMAKER = "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/mlx-train-1"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(SAGEMAKER, id="SageMaker's console"),
        pytest.param("https://kfp.acme.com/#/runs/details/0b0d-11", id="Kubeflow Pipelines"),
        pytest.param("https://mlflow.acme.com/#/runs/c0ffee", id="MLflow"),
        pytest.param("http://host:8080/a/b", id="a port"),
    ],
)
def test_what_leads_to_a_page_stays(url):
    assert page_address(url) == url


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (f"https://u:{CANARY}@console/jobs/1?token={CANARY}&id=1#/runs", "https://console/jobs/1?id=1#/runs"),
        (f"https://b.s3.amazonaws.com/k?X-Amz-Signature={CANARY}", "https://b.s3.amazonaws.com/k"),
        (f"https://host/#access_token={CANARY}", "https://host/"),
        ("https://host/x?next=AKIAABCDEFGHIJKLMNOP", "https://host/x"),
        ("javascript:alert(1)", None),
        ("s3://bucket/key", None),
        ("https:///x", None),
        ("https://[x/", None),
        (f"https://host/{'x' * LIMIT}", None),
    ],
)
def test_what_lets_in_does_not(url, page):
    assert page_address(url) == page
