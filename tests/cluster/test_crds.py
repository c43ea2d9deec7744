"""Kinds of projects whose controllers do not run here: objects of them are kept, and their status is the test's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import MERGE_PATCH
from tests.cluster.cluster import OwnCluster, running_cluster
from tests.cluster.crds import STAND_INS, StandInCrds, crds_of
from tests.cluster.fixtures import needed
from tests.cluster.problems import ApiRefused, PartMissing

SPEC: dict[str, Any] = {"anything": {"goes": True}}


@pytest.fixture
def api_alone() -> Iterator[OwnCluster]:
    """A cluster without nodes, whose CRDs are this test's."""
    with needed(), running_cluster(nodes=0) as cluster:
        yield cluster


def test_crds_of_our_own_stand_in_for_released_ones_and_say_so(
    api_alone: OwnCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLX_TEST_CRDS", raising=False)
    namespace = api_alone.new_namespace()
    for project, kinds in STAND_INS.items():
        with pytest.warns(StandInCrds, match=f"MLX_TEST_CRDS is not set: .* {project}"):
            names = api_alone.apply_crds(project)
        assert names == [f"{kind.plural}.{kind.group}" for kind in kinds]
        for kind in kinds:
            metadata = {"name": "one"} | ({"namespace": namespace} if kind.namespaced else {})
            manifest = {"apiVersion": f"{kind.group}/{kind.versions[0]}", "kind": kind.name, "metadata": metadata}
            assert api_alone.api.apply(manifest | {"spec": SPEC})["spec"] == SPEC
            path = api_alone.api.path_of(manifest)
            api_alone.request("PATCH", f"{path}/status", {"status": {"phase": "Told"}}, MERGE_PATCH)
            assert api_alone.api.get(path)["status"] == {"phase": "Told"}


def test_released_crds_refuse_what_the_project_would(api_alone: OwnCluster, recwarn: pytest.WarningsRecorder) -> None:
    released = os.environ.get("MLX_TEST_CRDS")
    if not released:
        pytest.skip("MLX_TEST_CRDS is not set → set it to a folder of released CRDs")
    assert "localqueues.kueue.x-k8s.io" in api_alone.apply_crds("kueue")
    assert not [warning for warning in recwarn if warning.category is StandInCrds]
    queue = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "LocalQueue"}
    metadata = {"name": "team", "namespace": api_alone.new_namespace()}
    with pytest.raises(ApiRefused, match="clusterQueue"):
        api_alone.api.apply(queue | {"metadata": metadata, "spec": {"clusterQueue": "No Name!"}})
    api_alone.api.apply(queue | {"metadata": metadata, "spec": {"clusterQueue": "gpus"}})


def test_a_project_that_nothing_stands_in_for_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLX_TEST_CRDS", str(tmp_path))
    with pytest.raises(PartMissing, match="has no folder ray"):
        crds_of("ray")
