"""By which digest a job's image ran."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.usage import image_digest
from tests.unit.backends.kubernetes.objects import ended, rank, runs

SHA = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def ran(image, name="step"):
    return {**ended(0, name=name), "imageID": image}


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        pytest.param(f"docker.io/library/python@{SHA}", f"docker.io/library/python@{SHA}", id="containerd"),
        pytest.param(f"docker-pullable://python@{SHA}", f"python@{SHA}", id="Docker"),
        pytest.param(SHA, SHA, id="an image that was loaded into the node"),
        pytest.param("", "", id="not pulled yet"),
        pytest.param(f"docker://user:password@host/{SHA}/x", "", id="no digest"),
    ],
)
def test_what_a_kubelet_says(image, digest):
    assert image_digest(KINDS["Job"], [rank(0, ran(image))]) == digest


def test_the_main_container_of_the_first_rank_counts():
    pods = [rank(1, ran(OTHER)), rank(0, ran(SHA), ran(OTHER, name="sidecar"))]
    assert image_digest(KINDS["Job"], pods) == SHA


def test_where_no_pod_has_told_nothing_is_known():
    assert image_digest(KINDS["Job"], []) == ""
    assert image_digest(KINDS["Job"], [rank(0, runs())]) == ""
