from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import StepChoice, resolve_target
from airflow_provider_mlx.stacks.extends import merge, without_nothing
from airflow_provider_mlx.stacks.parsing import parse_document, plain

trees = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(0, 3),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
        max_leaves=6,
    ),
    max_size=3,
)


def node(tree):
    return parse_document("a.yaml", json.dumps(tree)).root


@given(trees)
def test_a_stack_that_extends_its_own_copy_is_the_same(tree):
    assert plain(merge(node(tree), node(tree))) == tree


@given(trees)
def test_an_empty_child_inherits_everything_and_an_empty_parent_gives_nothing(tree):
    assert plain(merge(node(tree), node({}))) == tree
    assert plain(merge(node({}), node(tree))) == tree


# Every key has one shape, as in a stack file: `a` and `b` are mappings, `c` is a number.
shaped = st.deferred(
    lambda: st.fixed_dictionaries({}, optional={"a": shaped | st.just({}), "b": st.just({}), "c": st.integers(0, 3)})
)


@given(shaped, shaped, shaped)
def test_grandparents_may_be_merged_first_or_last_while_keys_keep_their_shape(a, b, c):
    assert plain(merge(merge(node(a), node(b)), node(c))) == plain(merge(node(a), merge(node(b), node(c))))


def test_what_a_parent_removed_does_not_come_back_from_the_grandparent(load):
    stacks = load(
        "stacks:\n"
        "  old: {artifacts: {root: 's3://b/'}, tags: {team: ml}, targets: {default: {backend: local}}}\n"
        "  middle: {extends: old, tags: }\n"
        "  new: {extends: middle, tags: {cost: x}}\n"
    )
    assert dict(stacks.stack("new").tags) == {"cost": "x"}


@given(trees)
def test_nothing_is_removed_once(tree):
    once = without_nothing(node(tree))
    assert plain(without_nothing(once)) == plain(once)


FAMILY = """
stacks:
  base:
    tags: {team: none, cost: 7}
    targets:
      default: {backend: kubernetes, namespace: ml, queue: slow, labels: {a: x}}
      extra: {backend: kubernetes, queue: q}
    tasks: {"a.*": {image: base}}
  prod:
    extends: base
    artifacts: {root: "s3://prod/"}
    tags: {team: risk}
    targets:
      default: {queue: , labels: {b: y}}
      extra: {namespace: other}
    tasks: {"*": {image: prod}}
  laptop:
    extends: prod
    targets: {default: {backend: local}}
"""


def test_a_child_adds_replaces_and_removes(load):
    prod = load(FAMILY).stack("prod")
    target = prod.targets["default"][0]
    assert target.given == {"labels": {"b": "y", "a": "x"}, "namespace": "ml"}
    assert (target.settings.namespace, target.settings.queue, target.settings.labels) == (
        "ml",
        None,
        {"a": "x", "b": "y"},
    )
    assert prod.tags == {"team": "risk", "cost": "7"}
    assert prod.extends == ("base",)


def test_a_child_tries_its_own_overrides_first(load):
    assert [task.pattern for task in load(FAMILY).stack("prod").tasks] == ["*", "a.*"]


def test_another_backend_takes_none_of_the_parents_settings(load):
    laptop = load(FAMILY).stack("laptop")
    assert laptop.targets["default"][0].given == {}
    assert laptop.extends == ("prod", "base")


def test_an_incomplete_stack_can_be_extended_but_not_used(load):
    stacks = load(FAMILY)
    with pytest.raises(InvalidStep, match="stack `base` is incomplete: it can only be extended") as caught:
        resolve_target(stacks, "base", StepChoice("a", "b"))
    assert [problem.what for problem in caught.value.problems] == [
        "stack `base` lacks `artifacts`",
        "a kubernetes target lacks `namespace`",
    ]


@pytest.mark.parametrize("parent", ["extends: ", "extends: ~"])
def test_an_empty_extends_is_none(load, parent):
    body = "artifacts: {root: 's3://a/'}\n    targets: {default: {backend: local}}\n"
    text = f"stacks:\n  a:\n    {parent}\n    {body}"
    assert load(text).stack("a").extends == ()


def test_a_parent_that_is_no_mapping_is_refused_once(load):
    with pytest.raises(InvalidStep) as caught:
        load("stacks: {a: 1, b: {extends: a}}")
    assert "stack `a` is not a mapping" in [problem.what for problem in caught.value.problems]
