"""Properties of matching and conditions."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from delivery.errors import InvalidReaction
from delivery.message.request.payload import decode_payload, encode_payload
from delivery.policy.conditions import compile_condition
from delivery.policy.matching import (
    MatchEntry,
    Matcher,
    matches,
    validate_event_type,
    validate_pattern,
)

names = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(".".join)
patterns = st.just("*") | names | names.map("{}.*".format)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=10,
)
expressions = st.text(
    st.sampled_from([*"abc.*[]?{}()!<>=&|@,:'\"`-0123 \\#é"]), max_size=25
) | st.lists(
    st.sampled_from(
        [
            *("a", "b", ".", "[*]", "[?", "]", "|", "||", "&&", "!", "==", "<", "`1`", "'x'", "@"),
            *("length(", "sort_by(", "&a", ",", ")", "sum(", "max(", "to_string(", "[::", "0"),
            *("{a:", "}", "[]", "map(", "avg(", "join(", "keys(", "ceil(", "merge(", "not_null("),
            *("*", "sort(", "reverse(", "type(", "values(", "contains(", "`[]`", "`{}`", "-1"),
        ]
    ),
    max_size=12,
).map("".join)


@given(st.lists(st.lists(patterns, max_size=4).map(tuple), max_size=8), names)
def test_the_matcher_agrees_with_matching_each_reaction(
    reactions: list[tuple[str, ...]], event_type: str
) -> None:
    """The index must not change the result."""
    matcher = Matcher([MatchEntry(key, own) for key, own in enumerate(reactions)])
    expected = [key for key, own in enumerate(reactions) if matches(own, event_type)]
    assert matcher.matching(event_type, dict) == (expected, [])
    assert matcher.matching(event_type, dict) == (expected, [])


@given(names, patterns)
def test_generated_names_and_patterns_are_valid(event_type: str, pattern: str) -> None:
    """The strategies of this file generate only valid names and patterns."""
    assert validate_event_type(event_type) == event_type
    assert validate_pattern(pattern) == pattern


@given(expressions, json_values)
@example("sort_by(a,&b)", {"a": [{"b": 1}, {"b": "x"}]})
@example("a`[]`", None)
@example("a[::0]", {"a": []})
@example("to_number('1e999')", None)
def test_compilation_raises_only_invalid_reaction(expression: str, value: object) -> None:
    """Evaluation raises nothing."""
    try:
        condition = compile_condition(expression)
    except InvalidReaction:
        return
    evaluation = condition.evaluate(value)
    assert evaluation.error is None or not evaluation.matched


@given(json_values)
def test_conditions_accept_every_decoded_payload(value: object) -> None:
    """Every JSON value that can be stored can be evaluated."""
    try:
        data = encode_payload(value, 1 << 20)
    except ValueError:
        return  # NaN or infinity
    condition = compile_condition("@ == a || `true`")
    assert condition.evaluate(decode_payload(data)).matched
