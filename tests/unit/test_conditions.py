"""Tests of conditions over the payload."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.errors import InvalidReaction
from delivery.policy.conditions import compile_condition
from delivery.policy.interpreter import MOST_STEPS

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
        "zero",  # all numbers are truthy in JMESPath
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
def test_truthy_expressions_match(expression: str) -> None:
    evaluation = compile_condition(expression).evaluate(PAYLOAD)
    assert evaluation.matched
    assert evaluation.error is None


@pytest.mark.parametrize(
    "expression",
    ["missing", "nothing", "no", "empty", "none", "object", "items[?count > `5`]", "total < `1`"],
)
def test_falsy_expressions_do_not_match(expression: str) -> None:
    """Falsy are null, false, and empty strings, lists and objects."""
    evaluation = compile_condition(expression).evaluate(PAYLOAD)
    assert not evaluation.matched
    assert evaluation.error is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("total >", "unexpected end"),
        ("total.", "unexpected end after character 6"),
        ("length(total", "unexpected end"),
        ("total > > 1", "at character 9"),
        ("a..b", "at character 3"),
        ("a # b", "at character 3"),
        ("'open", "at character 1"),
        ("a`[]`", r'"?\[\]"? at character 2'),
        ("a `null`", "unexpected null at character 3"),
        ("", "empty"),
        ("foo(@)", r"unknown function foo\(\)"),
        ("a && length()", r"length\(\) takes 1 arguments, but got 0"),
        ("merge()", "at least 1"),
        ("a" * 5_000, "5000 characters"),
        ("!" * 4_000 + "a", "nested too deeply"),
        ("'\0'", "NUL"),
        ("'\ud800'", "surrogate"),
    ],
)
def test_compilation_rejects_an_invalid_expression(expression: str, message: str) -> None:
    """The error occurs at creation of the reaction, before the first trigger."""
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
def test_an_evaluation_error_is_returned_and_not_raised(expression: str) -> None:
    """The error is a single line, and the condition does not match."""
    value = {**PAYLOAD, "huge": float("inf")}
    evaluation = compile_condition(expression).evaluate(value)
    assert not evaluation.matched
    assert evaluation.error
    assert "\n" not in evaluation.error


def test_a_condition_can_be_evaluated_repeatedly() -> None:
    """An evaluation leaves no state of its payload."""
    condition = compile_condition("a.b[0]")
    for value, expected in [({"a": {"b": [1]}}, True), ({}, False), ({"a": {"b": ["x"]}}, True)]:
        assert condition.evaluate(value).matched is expected


LARGE = {
    "text": "x" * 100_000,
    "texts": ["y" * 1_000] * 100,
    "numbers": list(range(20_000)),
    "rows": [{"id": number} for number in range(2_000)],
    "digits": 10**4_299 - 1,
    "keys": {"é" * 100_000: 1},
}

BOMBS = [
    "@" + " | [@,@][]" * 24,
    "@" + " | [@,@]" * 24 + " | to_string(@)",
    "@" + " | [@,@]" * 24 + " | contains([@,@], [@,@])",
    "[@" + " | [@,@]" * 24 + ", @" + " | [@,@]" * 24 + "] | @[0] == @[1]",
    "{a: @}" + " | merge(@, {b: @})" * 24 + " | to_string(@)",
    "texts" + " | [@,@][]" * 12 + " | join(@[0], @)",
    "text" + " | join('', [@,@])" * 20,
    "text" + " | [@,@]" * 12 + " | [][]" * 8 + " | join('', @)",
    "numbers" + " | [@,@][]" * 8 + " | sort(@)",
    "numbers" + " | [@,@][]" * 12 + " | sum(@)",
    "numbers" + " | [@,@][]" * 12 + " | max(@)",
    "numbers" + " | [@,@][]" * 12 + " | reverse(@)[::2][::-1]",
    "[rows, rows][]" + " | [@,@][]" * 8 + " | sort_by(@, &id)",
    "[rows, rows][]" + " | [@,@][]" * 8 + " | map(&to_string(@), @)",
    "[rows, rows][]" + " | [@,@][]" * 8 + " | [?contains(to_string(@), 'x')]",
    "[digits]" + " | [@,@][]" * 12 + " | [].to_string(@)",
    "[digits]" + " | [@,@][]" * 12 + " | to_string(@)",
    "[keys]" + " | [@,@][]" * 12 + " | [].to_string(@)",
    "[keys]" + " | [@,@][]" * 12 + " | to_string(@)",
]


@pytest.mark.parametrize("expression", BOMBS)
def test_an_evaluation_over_budget_is_an_error(expression: str) -> None:
    condition = compile_condition(expression)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    tracemalloc.start()
    sys.setprofile(count)
    try:
        evaluation = condition.evaluate(LARGE)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not evaluation.matched
    assert evaluation.error is not None
    assert f"more than {MOST_STEPS:,} steps" in evaluation.error
    # The profiler counts calls and returns; a step is a few of them.
    assert calls < 20 * MOST_STEPS
    assert peak < 50_000_000


def test_a_condition_works_after_an_evaluation_over_budget() -> None:
    condition = compile_condition("rows[?id > `1`][]" + " | [@,@][]" * 16)
    assert condition.evaluate(LARGE).error
    assert condition.evaluate({"rows": [{"id": 2}]}) == condition.evaluate({"rows": [{"id": 3}]})
    assert condition.evaluate({"rows": []}).error is None


def test_a_filter_of_a_large_list_is_within_budget() -> None:
    rows = [{"id": number, "state": "open"} for number in range(10_000)]
    condition = compile_condition("rows[?id == `9999` && state == 'open']")
    assert condition.evaluate({"rows": rows}).matched


def test_an_evaluation_error_does_not_quote_the_payload() -> None:
    evaluation = compile_condition("abs(card)").evaluate({"card": "4111-1111"})
    assert evaluation.error == "abs() takes number, but got string"


pieces = st.sampled_from(
    ["[@,@]", "[@,@][]", "[*]", "[]", "*", "[::-1]", "[?@]", "to_string(@)", "to_array(@)",
     "length(@)", "[@,@] | @[0] == @[1]", "contains(to_array(@), @)", "{a: @, b: @}", "values(@)",
     "map(&[@,@], to_array(@))", "join('', [to_string(@), to_string(@)])", "not_null(@)"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=30))
def test_any_pipeline_ends_within_budget(steps: list[str]) -> None:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    condition = compile_condition(" | ".join(steps))
    sys.setprofile(count)
    try:
        evaluation = condition.evaluate({"rows": [1, "two", [3]], "text": "x" * 1_000})
    finally:
        sys.setprofile(None)
    assert evaluation.steps <= MOST_STEPS
    assert calls < 20 * MOST_STEPS
