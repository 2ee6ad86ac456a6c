"""Conditions over the payload."""

from __future__ import annotations

import pytest

from delivery.errors import InvalidReaction
from delivery.policy.conditions import compile_condition

PAYLOAD = {
    "total": 250,
    "zero": 0,
    "currency": "EUR",
    "empty": "",
    "nothing": None,
    "no": False,
    "items": [{"sku": "a", "count": 1}, {"sku": "b", "count": 3}],
    "none": [],
    "object": {},
}


@pytest.mark.parametrize(
    "expression",
    [
        "total",
        "zero",  # JMESPath: numbers are true
        "total > `100`",
        "currency == 'EUR' && total >= `250`",
        "!empty",
        "items[?count > `2`]",
        "contains(currency, 'U')",
        "length(items) == `2`",
        "items[-1].sku == 'b'",
        "`text`",
    ],
)
def test_expressions_that_hold(expression: str) -> None:
    """By JMESPath's own rule of what is true."""
    evaluation = compile_condition(expression).evaluate(PAYLOAD)
    assert evaluation.matched
    assert evaluation.error is None


@pytest.mark.parametrize(
    "expression",
    ["missing", "nothing", "no", "empty", "none", "object", "items[?count > `5`]", "total < `1`"],
)
def test_expressions_that_do_not_hold(expression: str) -> None:
    """Null, false and everything empty."""
    evaluation = compile_condition(expression).evaluate(PAYLOAD)
    assert not evaluation.matched
    assert evaluation.error is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("total >", "ends too early"),
        ("total.", "ends too early, after character 6"),
        ("length(total", "ends too early"),
        ("total > > 1", "at character 9"),
        ("a..b", "at character 3"),
        ("a # b", "at character 3"),
        ("'open", "at character 1"),
        ("a`[]`", r'"?\[\]"? at character 2'),
        ("a `null`", "unexpected null at character 3"),
        ("", "empty"),
        ("foo(@)", r"no function foo\(\)"),
        ("a && length()", r"length\(\) takes 1 arguments, not 0"),
        ("merge()", "at least 1"),
        ("a" * 5_000, "5000 characters"),
        ("!" * 4_000 + "a", "nested too deep"),
        ("'\0'", "NUL"),
        ("'\ud800'", "surrogate"),
    ],
)
def test_wrong_expression_is_refused_with_its_position(expression: str, message: str) -> None:
    """When the reaction is made, not when the first trigger comes."""
    with pytest.raises(InvalidReaction, match=message):
        compile_condition(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "length(total)",
        "items[::0]",
        "sum(items)",
        "ceil(huge)",
        "join(',', items)",
    ],
)
def test_failing_evaluation_is_a_result(expression: str) -> None:
    """One line of text, and no match."""
    value = {**PAYLOAD, "huge": float("inf")}
    evaluation = compile_condition(expression).evaluate(value)
    assert not evaluation.matched
    assert evaluation.error
    assert "\n" not in evaluation.error


def test_same_condition_may_be_asked_again() -> None:
    """It keeps nothing of the payload before."""
    condition = compile_condition("a.b[0]")
    for value, expected in [({"a": {"b": [1]}}, True), ({}, False), ({"a": {"b": ["x"]}}, True)]:
        assert condition.evaluate(value).matched is expected
