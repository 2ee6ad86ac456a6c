"""Search for many byte strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.message.redaction.scrubber import Scrubber
from delivery.message.redaction.text_search import TextSearch, _spans

letters = st.binary(min_size=1, max_size=5).map(lambda data: bytes(97 + byte % 3 for byte in data))


def bytes_in_patterns(data: bytes, patterns: list[bytes]) -> list[bool]:
    """Mark the bytes that are part of a pattern, by a simple search."""
    is_replaced = [False] * len(data)
    for pattern in patterns:
        for place in range(len(data) - len(pattern) + 1):
            if data[place : place + len(pattern)] == pattern:
                is_replaced[place : place + len(pattern)] = [True] * len(pattern)
    return is_replaced


@given(st.lists(letters, min_size=1, max_size=40), st.lists(letters, max_size=20).map(b"".join))
def test_exactly_the_bytes_of_patterns_are_replaced(patterns: list[bytes], data: bytes) -> None:
    remaining = bytes(
        byte
        for byte, is_replaced in zip(data, bytes_in_patterns(data, patterns), strict=True)
        if not is_replaced
    )
    found = TextSearch(patterns).replace(data, b"*")
    assert found.replace(b"*", b"") == remaining
    assert (found is data) == (remaining == data)


repeated = st.builds(
    lambda word, times, rest: word * times + word[:rest],
    st.binary(min_size=1, max_size=3).map(lambda data: bytes(97 + byte % 2 for byte in data)),
    st.integers(1, 5),
    st.integers(0, 3),
)


@given(repeated, st.data())
def test_overlapping_occurrences_of_a_pattern_are_replaced(
    pattern: bytes, data: st.DataObject
) -> None:
    pieces = st.sampled_from([pattern, pattern[:1], pattern[1:], pattern[:-1], b"b", b"-"])
    text = b"".join(data.draw(st.lists(pieces, max_size=12)))
    remaining = bytes(
        byte
        for byte, is_replaced in zip(text, bytes_in_patterns(text, [pattern]), strict=True)
        if not is_replaced
    )
    assert TextSearch([pattern]).replace(text, b"*").replace(b"*", b"") == remaining


def test_a_repetitive_pattern_yields_few_spans() -> None:
    assert len(list(_spans(b"a" * 65_536 + b"-" + b"ab" * 10_000, b"a" * 4_000))) <= 2
    assert len(list(_spans(b"-" + b"ab" * 10_000, b"ab" * 500))) <= 2


def test_data_that_takes_too_long_to_search_is_replaced_as_a_whole() -> None:
    patterns = TextSearch(b"a" * (10 + number) + b"b" for number in range(240))
    assert patterns.replace(b"a" * 65_536, b"***") == b"***"
    assert patterns.replace(b"a" * 30 + b"b" + b"-" * 65_536, b"***").startswith(b"***--")


def test_the_searches_for_few_and_many_patterns_agree() -> None:
    few = [b"secret-%d" % number for number in range(3)]
    many = few + [b"other-%d" % number for number in range(500)]
    data = b"a secret-1 secret-12 xsecret-0secret-2 " * 100
    assert TextSearch(few).replace(data, b"***") == TextSearch(many).replace(data, b"***")


def test_one_mark_replaces_overlapping_patterns() -> None:
    patterns = TextSearch([b"abcdef", b"defghij"])
    assert patterns.replace(b"-abcdefghij-", b"***") == b"-***-"


def test_secrets_that_are_too_long_replace_the_whole_text() -> None:
    scrubber = Scrubber(["x" * 40_000])
    assert scrubber
    assert scrubber.scrub(b"anything") == b"***"
    assert scrubber.scrub_text("anything") == "***"
