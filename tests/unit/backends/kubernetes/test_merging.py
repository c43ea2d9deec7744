"""Strategic merge: the same as Kubernetes' own, whose results were recorded, and never a surprise where it is none."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.backends.kubernetes.merging import MERGE_KEYS, strategic_merge

RECORDED = json.loads((Path(__file__).parent / "golden" / "strategic_merge.json").read_text())
BASE = {"spec": {"containers": [{"name": "step", "image": "a"}], "nodeSelector": {"pool": "cpu"}}}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in RECORDED["cases"]])
def test_as_kubernetes_merges(case):
    assert strategic_merge(case["base"], case["patch"]) == case["result"]


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        pytest.param({"affinity": {"$patch": "replace", "nodeAffinity": {"a": 1}}}, {"affinity": {"nodeAffinity": {"a": 1}}},
                     id="a map that the base lacks is taken, where Kubernetes drops it"),
        pytest.param({"affinity": {"$patch": "delete"}}, {}, id="what is not there is deleted without a word"),
        pytest.param({"volumes": [{"name": "v", "emptyDir": {"medium": None}}]},
                     {"volumes": [{"name": "v", "emptyDir": {}}]}, id="no null gets into what is added"),
        pytest.param({"tolerations": [{"key": "a", "value": None}]}, {"tolerations": [{"key": "a"}]},
                     id="nor into a list that is replaced"),
        pytest.param({"volumes": [{"name": "v", "$patch": "delete"}]}, {"volumes": []},
                     id="nor a directive into a list that the base lacks"),
    ],
)  # fmt: skip
def test_where_it_differs_from_kubernetes(patch, spec):
    assert strategic_merge({"spec": {}}, {"spec": patch})["spec"] == spec


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"containers": [{"image": "x"}]}, "`spec.containers`: an element has no `name`"),
        ({"containers": ["step"]}, "`spec.containers`: every element is a map"),
        ({"containers": [{"name": "step", "$patch": "replace"}]}, "make it an element of its own"),
        ({"containers": [{"name": {}, "image": "x"}]}, "no `name`"),
        ({"nodeSelector": {"$patch": "remove"}}, "`spec.nodeSelector`: `$patch` is replace or delete, not 'remove'"),
        ({"tolerations": [{"$patch": "replace"}]}, "`spec.tolerations` is replaced as a whole: leave `$patch` out"),
        ({"$setElementOrder/containers": []}, "`spec`: `$setElementOrder/containers` is not supported"),
        ({"volumes": [{"name": "v", "$retainKeys": ["name"], "emptyDir": {}}]}, "with every key that the patch sets"),
        ({"volumes": [{"name": "v", "$retainKeys": "name"}]}, "`$retainKeys` is a list"),
    ],
)
def test_what_is_no_patch_is_refused_with_its_place(patch, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        strategic_merge(BASE, {"spec": patch})


def test_a_base_without_merge_keys_is_refused_too():
    with pytest.raises(ValueError, match="has no `name`"):
        strategic_merge({"spec": {"volumes": [{}]}}, {"spec": {"volumes": [{"name": "v"}]}})


NAMES = st.sampled_from(["a", "b", "c"])
ENV = st.lists(st.fixed_dictionaries({"name": NAMES}, optional={"value": st.sampled_from(["1", "2"])}), max_size=3)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"image": NAMES, "env": ENV, "args": st.lists(NAMES, max_size=2)}),
    max_size=3,
    unique_by=lambda one: one["name"],
)
PODS = st.fixed_dictionaries(
    {},
    optional={
        "spec": st.fixed_dictionaries(
            {}, optional={"containers": CONTAINERS, "nodeSelector": st.dictionaries(NAMES, NAMES)}
        )
    },
)


@given(base=PODS, patch=PODS)
def test_merging_changes_neither_and_twice_is_once(base, patch):
    before = copy.deepcopy((base, patch))
    merged = strategic_merge(base, patch)
    assert (base, patch) == before
    assert strategic_merge(merged, patch) == merged


@given(base=PODS, patch=PODS)
def test_every_element_is_there_once_and_the_patch_gives_the_order(base, patch):
    def names(pod):
        return [container["name"] for container in pod.get("spec", {}).get("containers", [])]

    merged = names(strategic_merge(base, patch))
    assert sorted(merged) == sorted({*names(base), *names(patch)})
    assert [name for name in merged if name in names(patch)] == names(patch)


@given(base=PODS, patch=PODS)
def test_what_is_merged_shares_nothing_with_what_it_came_from(base, patch):
    before = copy.deepcopy((base, patch))
    for container in strategic_merge(base, patch).get("spec", {}).get("containers", []):
        container.setdefault("env", []).append({"name": "new"})
        container.setdefault("args", []).append("new")
    assert (base, patch) == before


def test_every_kind_of_container_has_the_same_keys():
    for field, key in {"env": "name", "volumeMounts": "mountPath"}.items():
        for containers in ("containers", "initContainers", "ephemeralContainers"):
            assert MERGE_KEYS[f"spec.{containers}.{field}"] == key
