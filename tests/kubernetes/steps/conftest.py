"""Steps on the tests' cluster, in a namespace as ``init kubernetes`` prepares it, with the root in an S3 of our own."""

from __future__ import annotations

import pytest

from tests.kubernetes.fixtures import BUCKET


@pytest.fixture
def root(request):
    return f"s3://{BUCKET}/steps/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def store(cluster_store):
    return cluster_store


@pytest.fixture
def namespace(tenant):
    return tenant.namespace


@pytest.fixture
def connected(tenant, connect):
    connect(tenant)
