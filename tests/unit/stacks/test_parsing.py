from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import Stacks
from airflow_provider_mlx.stacks.parsing import MAX_BYTES, parse_document, plain
from airflow_provider_mlx.stacks.validation import StackFile, validate_files


def value(text):
    document = parse_document("a.yaml", text)
    assert not document.problems
    return plain(document.root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "{a: 1, b: 1.5, c: true, d: x, e: , f: ~}",
            {"a": 1, "b": 1.5, "c": True, "d": "x", "e": None, "f": None},
            id="scalars",
        ),
        pytest.param("a: 2026-11-23", {"a": "2026-11-23"}, id="a date stays text"),
        pytest.param("a: 4:30", {"a": "4:30"}, id="a clock stays text, where YAML 1.1 makes 270"),
        pytest.param("a: =", {"a": "="}, id="the value sign of YAML 1.1 is text"),
        pytest.param("a: '1'", {"a": "1"}, id="quotes make text"),
        pytest.param("a: [1, [2]]", {"a": [1, [2]]}, id="lists"),
        pytest.param("x: &b {c: 1}\ny: *b", {"x": {"c": 1}, "y": {"c": 1}}, id="a few aliases are fine"),
        pytest.param("\ufeffa: 1".encode(), {"a": 1}, id="a byte order mark is skipped"),
        pytest.param("a: é 名前 🎈", {"a": "é 名前 🎈"}, id="any language"),
    ],
)
def test_data_is_read_as_safe_load_does(text, expected):
    assert value(text) == expected


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcd", "bcde", strict=True)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("a: 1\na: 2", "`a` stands here twice, first in line 1", id="duplicate keys"),
        pytest.param("a: !!python/name:os.system x", "a tag, `tag:yaml.org,2002:python/name:os.system`", id="tags"),
        pytest.param("a: ! x", "a tag, `!`", id="the empty tag"),
        pytest.param("a: &a {b: *a}", "`*a` stands inside its own anchor", id="an endless structure"),
        pytest.param("a: *b", "`*b` names no anchor", id="an alias of nothing"),
        pytest.param("x: &x {a: 1}\ny: {<<: *x}", "a merge key, `<<`", id="merge keys"),
        pytest.param("on: 1", "a key that is not text", id="YAML 1.1 reads `on` as true"),
        pytest.param("{[a]: 1}", "a key that is not text", id="a list as key"),
        pytest.param("a: 1\n---\nb: 1", "a second document begins here", id="several documents"),
        pytest.param(BOMB, "the file holds more than 50,000 values", id="a billion laughs"),
        pytest.param("x: &a 1\ny: [" + "*a," * 60 + "]", "more than 50 aliases", id="too many aliases"),
        pytest.param("[" * 30 + "]" * 30, "more than 20 levels", id="too deep"),
        pytest.param("[" * 900 + "x" + "]" * 900, "more than 20 levels", id="much too deep"),
        pytest.param(
            "a: &a " + "[" * 15 + "]" * 15 + "\nb: [[[[[*a]]]]]",
            "more than 20 levels through `*a`",
            id="too deep by alias",
        ),
        pytest.param(
            "x: &a [" + "1," * 9_000 + "]\ny: [" + "*a," * 9 + "]",
            "the file holds more than 50,000 values",
            id="a bomb",
        ),
        pytest.param("a" * (MAX_BYTES + 1), "the file has 1,048,577 bytes, more than 1 MiB", id="too large"),
        pytest.param(b"\xff\xfea", "the file is not UTF-8 text", id="not UTF-8"),
        pytest.param("\ud800", "the file is not UTF-8 text", id="half a character"),
        pytest.param("a: " + "9" * 5_000, "a number that cannot be read", id="an endless number"),
        pytest.param("a: [", "not valid YAML: did not find expected node content", id="an open bracket"),
        pytest.param("a: \x00", "not valid YAML: control characters are not allowed", id="control characters"),
    ],
)
def test_what_is_more_than_data_is_refused(text, what):
    problems = parse_document("a.yaml", text).problems
    assert what in [problem.what for problem in problems]
    assert all(problem.remedy for problem in problems)


def test_a_long_line_is_shown_around_its_caret():
    (problem,) = parse_document("a.yaml", "a: [" + "1, " * 60 + "!x 1, " + "2, " * 60 + "]").problems
    _, line, caret = str(problem).splitlines()
    assert line.strip().startswith("…")
    assert line.endswith("…")
    assert line[caret.index("^") :].startswith("!x")


def any_yaml():
    words = [
        "stacks",
        "dev",
        "targets",
        "default",
        "backend",
        "local",
        "extends",
        "policy",
        "artifacts",
        "root",
        "tasks",
    ]
    tokens = st.sampled_from(
        [*words, ": ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "&a ", "*a", "!x ", "|", "'", "<<", "s3://b/c"]
    )
    return st.lists(tokens | st.text(max_size=3), max_size=40).map("".join)


def refusal_of(text, backends) -> InvalidStep | None:
    try:
        assert isinstance(validate_files([StackFile(parse_document("a.yaml", text), True)], backends), Stacks)
    except InvalidStep as refusal:
        return refusal
    return None


@given(any_yaml() | st.text() | st.binary(max_size=60))
def test_any_text_is_stacks_or_refused(backends, text):
    refusal = refusal_of(text, backends)
    assert refusal is None or (refusal.problems and str(refusal))
    assert refusal is None or all(problem.remedy for problem in refusal.problems)


scalars = st.none() | st.booleans() | st.text(max_size=4) | st.integers(0, 9)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "artifacts",
                    "root",
                    "targets",
                    "default",
                    "backend",
                    "extends",
                    "tasks",
                    "env",
                    "secrets",
                    "resources",
                    "local",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), trees, max_size=3), trees)
def test_any_structure_is_stacks_or_refused(backends, stacks, policy):
    refusal = refusal_of(json.dumps({"stacks": stacks, "policy": policy}), backends)
    assert refusal is None or str(refusal)
