"""Tests of the selection of reactions for a trigger."""

from __future__ import annotations

import pytest

from delivery.errors import InvalidInput, InvalidReaction
from delivery.policy.matching import (
    MatchEntry,
    Matcher,
    matches,
    validate_event_type,
    validate_pattern,
    validate_patterns,
)


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("order.paid", "order.paid", True),
        ("order.paid", "order.paid.late", False),
        ("order.paid", "order", False),
        ("order.*", "order.paid", True),
        ("order.*", "order.line.added", True),
        ("order.*", "order", False),
        ("order.*", "orders.paid", False),
        ("order.line.*", "order.line.added", True),
        ("order.line.*", "order.paid", False),
        ("*", "anything", True),
        ("Order.*", "order.paid", False),
    ],
)
def test_patterns_match_exactly_by_prefix_or_all(
    pattern: str,
    event_type: str,
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Matching is case-sensitive, and a prefix ends at a dot."""
    assert matches([pattern], event_type) is expected
    assert Matcher([MatchEntry("key", (pattern,))]).matching(event_type, dict) == (
        ["key"] if expected else [],
        [],
    )


def test_matches_are_in_the_order_of_the_reactions() -> None:
    """A reaction with several matching patterns occurs once."""
    matcher = Matcher(
        [
            MatchEntry("a", ("*",)),
            MatchEntry("b", ("order.paid", "order.*", "*")),
            MatchEntry("c", ("invoice.*",)),
            MatchEntry("d", ("order.*",)),
            MatchEntry("e", ("order.paid",)),
        ]
    )
    for _ in range(2):  # the second result comes from the cache
        assert matcher.matching("order.paid", dict)[0] == ["a", "b", "d", "e"]
    assert matcher.matching("invoice", dict)[0] == ["a", "b"]


def test_conditions_are_evaluated_on_the_payload() -> None:
    """A reaction without a condition matches every payload."""
    matcher = Matcher(
        [
            MatchEntry("big", ("*",), "total > `100`"),
            MatchEntry("all", ("*",)),
            MatchEntry("small", ("*",), "total <= `100`"),
        ]
    )
    assert matcher.matching("a", lambda: {"total": 500}) == (["big", "all"], [])
    assert matcher.matching("a", lambda: {"total": 5}) == (["all", "small"], [])


def test_the_payload_is_decoded_at_most_once() -> None:
    """Without conditions it is not decoded at all."""
    asked = []

    def payload() -> object:
        asked.append(1)
        return {"a": 1}

    entries = [MatchEntry(1, ("x",), "a"), MatchEntry(2, ("x",), "b"), MatchEntry(3, ("y",))]
    matcher = Matcher(entries)
    assert matcher.matching("y", payload)[0] == [3]
    assert asked == []
    assert matcher.matching("x", payload)[0] == [1]
    assert asked == [1]


def test_a_failing_condition_does_not_match_and_returns_its_error() -> None:
    """The other reactions still match."""
    matcher = Matcher(
        [
            MatchEntry("broken", ("*",), "a ||"),
            MatchEntry("wrong type", ("*",), "length(a) > `1`"),
            MatchEntry("fine", ("*",), "a"),
        ]
    )
    matched, errors = matcher.matching("t", lambda: {"a": 5})
    assert matched == ["fine"]
    assert [key for key, _ in errors] == ["broken", "wrong type"]
    assert "not valid JMESPath" in errors[0][1]
    assert "length()" in errors[1][1]


def test_the_cache_of_event_types_is_bounded() -> None:
    """Arbitrary types must not fill the memory."""
    matcher = Matcher([MatchEntry(1, ("*",))])
    for number in range(5_000):
        matcher.matching(f"type.{number}", dict)
    assert len(matcher._found) <= 1_024


@pytest.mark.parametrize("name", ["a", "order.paid", "user:created", "заказ.оплачен", "a-b_c.d/e"])
def test_dotted_names_are_valid_event_types(name: str) -> None:
    """Letters of any script and most punctuation are allowed."""
    assert validate_event_type(name) == name
    assert validate_pattern(name) == name
    assert validate_pattern(f"{name}.*") == f"{name}.*"


@pytest.mark.parametrize(
    "name",
    ["", ".", ".a", "a.", "a..b", "a b", "a\n", "a\0", "a*", "*", "a.*.b", "\ud800", "x" * 256],
)
def test_invalid_event_types_are_rejected(name: str) -> None:
    """These include patterns and strings that cannot be stored."""
    with pytest.raises(InvalidInput):
        validate_event_type(name)


@pytest.mark.parametrize("pattern", ["", "**", "*.a", "order.*.x", "order*", ".*", "a b.*"])
def test_invalid_patterns_are_rejected(pattern: str) -> None:
    """`*` is allowed only alone or after the last dot."""
    with pytest.raises(InvalidReaction, match="order"):
        validate_pattern(pattern)


def test_the_length_of_an_event_type_is_limited() -> None:
    validate_event_type("x" * 20, 20)
    with pytest.raises(InvalidInput, match="21 characters"):
        validate_event_type("x" * 21, 20)


def test_the_patterns_of_a_reaction_are_validated_and_deduplicated() -> None:
    """A string or an empty list is rejected."""
    assert validate_patterns(["b", "a.*", "b"]) == ("b", "a.*")
    with pytest.raises(InvalidReaction, match="must be a list"):
        validate_patterns("order.paid")
    with pytest.raises(InvalidReaction, match="empty"):
        validate_patterns([])
    with pytest.raises(InvalidReaction, match="maximum is 1000"):
        validate_patterns([f"t{number}" for number in range(1_001)])


def test_a_search_yields_between_expensive_conditions() -> None:
    bomb = "@" + " | [@,@][]" * 24
    matcher = Matcher([MatchEntry(number, ("*",), bomb) for number in range(3)])
    parts = list(matcher.search("x", dict))
    assert parts[:-1] == [None, None, None]
    found = parts[-1]
    assert found is not None
    assert [key for key, _ in found[1]] == [0, 1, 2]


def test_a_search_does_not_yield_between_cheap_conditions() -> None:
    matcher = Matcher([MatchEntry(number, ("*",), "total > `1`") for number in range(10)])
    matcher.matching("x", dict)  # compiles the conditions
    assert list(matcher.search("x", lambda: {"total": 2})) == [(list(range(10)), [])]
