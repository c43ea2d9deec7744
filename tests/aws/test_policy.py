"""What IAM would say, as far as its documentation tells: operators, variables, trust."""

from __future__ import annotations

import pytest

from .errors import Unsupported
from .policy import Need, Trusted, checked_policy, checked_trust, trusted, verdict
from .test_roles import allow, policy

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/airflow"
LOGS = "arn:aws:logs:eu-central-1:123456789012:log-group:a:b:c"


def holds(operator, key, values, context) -> bool:
    """Whether a condition lets its statement apply."""
    statement = allow("*", "*", Condition={operator: {key: values}})
    checked_policy(policy(statement))
    return verdict([policy(statement)], Need("s3:PutObject", "arn:aws:s3:::b/k", context)) == "allowed"


@pytest.mark.parametrize(
    ("operator", "values", "present", "expected"),
    [
        pytest.param("Null", "false", "*", True, id="Null false: the key is there"),
        pytest.param("Null", "false", None, False, id="and it is not"),
        pytest.param("Null", True, None, True, id="Null true: it is not there"),
        pytest.param("Null", ["true", "false"], None, True, id="of several values one is enough"),
        pytest.param("Bool", "false", "false", True, id="a truth value is a text"),
        pytest.param("Bool", False, "true", False, id="and the other one"),
        pytest.param("Bool", "false", None, False, id="of a key that is not there it is neither"),
        pytest.param("BoolIfExists", "false", None, True, id="unless it need not be"),
        pytest.param("StringEquals", "a*", "ab", False, id="equality knows no wild cards"),
        pytest.param("StringEquals", "${*}", "*", True, id="but their escapes"),
        pytest.param("StringLike", "a*c", "a/b/c", True, id="a wild card spans slashes"),
        pytest.param("StringLike", "a${*}c", "abc", False, id="an escaped one nothing"),
        pytest.param("StringNotLike", ["a*", "b*"], "c", True, id="negated, no value may match"),
        pytest.param("StringNotLike", ["a*", "b*"], "bc", False, id="and one does"),
        pytest.param("StringNotEquals", "a", None, True, id="negated, a key may be missing"),
        pytest.param("ArnLike", "arn:aws:logs:*:123456789012:log-group:a*", LOGS, True, id="an ARN part by part"),
        pytest.param(
            "ArnLike", "arn:aws:*:log-group:a*", LOGS, False, id="a wild card spans no colon before the sixth"
        ),
        pytest.param("ArnEquals", "arn:aws:logs:eu-*:123456789012:*", LOGS, True, id="ArnEquals is the same"),
        pytest.param("ArnNotLike", "arn:aws:s3:*:*:*", LOGS, True, id="another service is another"),
        pytest.param("ForAnyValue:StringEquals", ["a", "b"], ("b", "c"), True, id="any value is one of these"),
        pytest.param("ForAnyValue:StringLike", "x*", ("b", "xc"), True, id="or like one"),
        pytest.param("ForAnyValue:StringLike", "x*", ("b", "c"), False, id="none is"),
        pytest.param("ForAnyValue:StringEquals", "a", None, False, id="of no value none is"),
        pytest.param("ForAllValues:StringEquals", ["a", "b"], ("b", "a"), True, id="all values are of these"),
        pytest.param("ForAllValues:StringEquals", ["a", "b"], ("b", "c"), False, id="one is not"),
        pytest.param("ForAllValues:StringEquals", ["a", "b"], None, True, id="of no value all are"),
    ],
)
def test_operators(operator, values, present, expected):
    context = {} if present is None else {"aws:Key": present}
    assert holds(operator, "aws:key", values, context) is expected


@pytest.mark.parametrize(
    ("resource", "tags", "key", "expected"),
    [
        pytest.param("${aws:PrincipalTag/team}/*", {"team": "blue"}, "blue/x", "allowed", id="a tag's value"),
        pytest.param("${aws:PrincipalTag/TEAM}/*", {"team": "blue"}, "blue/x", "allowed", id="keys know no case"),
        pytest.param("${aws:PrincipalTag/team}/*", {"team": "blue"}, "blues/x", "not allowed", id="is whole"),
        pytest.param("${aws:PrincipalTag/team}/*", {"team": "b*"}, "blue/x", "not allowed", id="has no wild cards"),
        pytest.param("${aws:PrincipalTag/team}/*", {}, "/x", "not allowed", id="that is not there matches nothing"),
        pytest.param("a${$}{x}/*", {}, "a${x}/y", "allowed", id="a dollar that is one"),
    ],
)
def test_variables_in_resources(resource, tags, key, expected):
    statement = allow("s3:*", f"arn:aws:s3:::b/{resource}")
    context = {f"aws:PrincipalTag/{name}": value for name, value in tags.items()}
    checked_policy(policy(statement))
    assert verdict([policy(statement)], Need("s3:PutObject", f"arn:aws:s3:::b/{key}", context)) == expected


def test_variables_in_conditions():
    tagged = {"aws:PrincipalTag/team": "blue"}
    assert holds("StringLike", "s3:prefix", "${aws:PrincipalTag/team}/*", {"s3:prefix": "blue/x", **tagged})
    assert not holds("StringLike", "s3:prefix", "${aws:PrincipalTag/team}/*", {"s3:prefix": "red/x", **tagged})


def test_a_deny_wins_whatever_allows():
    document = policy(allow("*", "*"), {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/a*"})
    assert verdict([document], Need("s3:PutObject", "arn:aws:s3:::b/ab", {})) == "denied"
    assert verdict([document], Need("s3:PutObject", "arn:aws:s3:::b/b", {})) == "allowed"


@pytest.mark.parametrize(
    "statement",
    [
        allow("*", "*", Condition={"NumericLessThan": {"s3:max-keys": "9"}}),
        allow("*", "*", Condition={"ForSomeValues:StringLike": {"aws:TagKeys": "x"}}),
        allow("*", "*", Condition={"NullIfExists": {"aws:TagKeys": "true"}}),
        allow("*", "arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/*"),
        allow("*", "*", Condition={"StringLike": {"s3:prefix": "${aws:username, 'x'}"}}),
        {"Effect": "Allow", "Action": "*"},
        {"Effect": "Perhaps", "Action": "*", "Resource": "*"},
        allow("*", "*", Principal="*"),
    ],
)
def test_what_cannot_be_judged_is_refused(statement):
    with pytest.raises(Unsupported):
        checked_policy(policy(statement))


def test_several_values_need_a_word_on_how_many_count():
    with pytest.raises(Unsupported, match="ForAnyValue"):
        holds("StringEquals", "aws:TagKeys", "a", {"aws:TagKeys": ("a", "b")})


def trust(principal, **more) -> dict:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


@pytest.mark.parametrize(
    ("principal", "by_name", "by_account"),
    [
        pytest.param({"AWS": ROLE}, "allowed", "not allowed", id="the role itself"),
        pytest.param({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "not allowed", "allowed", id="its account"),
        pytest.param({"AWS": [f"{ROLE}2", ACCOUNT]}, "not allowed", "allowed", id="by its number"),
        pytest.param({"AWS": "210987654321"}, "not allowed", "not allowed", id="another account"),
        pytest.param({"Service": "sagemaker.amazonaws.com"}, "not allowed", "not allowed", id="a service is no role"),
    ],
)
def test_whom_a_role_trusts(principal, by_name, by_account):
    document = checked_trust(policy(trust(principal)))
    assert trusted(document, Need("sts:AssumeRole", "r", {}), role_arn=ROLE) == Trusted(by_name, by_account)


@pytest.mark.parametrize(
    "principal", ["*", {"AWS": "*"}, {"Federated": "x"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/x"}]
)
def test_principals_that_cannot_be_judged_are_refused(principal):
    with pytest.raises(Unsupported):
        checked_trust(policy(trust(principal)))
