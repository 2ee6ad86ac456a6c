"""Many texts are looked for at once, as they would be one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.message.redaction.scrubber import Scrubber
from delivery.message.redaction.text_search import TextSearch, _spans

letters = st.binary(min_size=1, max_size=5).map(lambda data: bytes(97 + byte % 3 for byte in data))


def hidden_one_by_one(data: bytes, patterns: list[bytes]) -> list[bool]:
    """Which bytes are part of a pattern."""
    hidden = [False] * len(data)
    for pattern in patterns:
        for place in range(len(data) - len(pattern) + 1):
            if data[place : place + len(pattern)] == pattern:
                hidden[place : place + len(pattern)] = [True] * len(pattern)
    return hidden


@given(st.lists(letters, min_size=1, max_size=40), st.lists(letters, max_size=20).map(b"".join))
def test_every_byte_of_every_needle_is_hidden_and_no_other(
    patterns: list[bytes], data: bytes
) -> None:
    shown = bytes(
        byte
        for byte, hidden in zip(data, hidden_one_by_one(data, patterns), strict=True)
        if not hidden
    )
    found = TextSearch(patterns).replace(data, b"*")
    assert found.replace(b"*", b"") == shown
    assert (found is data) == (shown == data)


repeated = st.builds(
    lambda word, times, rest: word * times + word[:rest],
    st.binary(min_size=1, max_size=3).map(lambda data: bytes(97 + byte % 2 for byte in data)),
    st.integers(1, 5),
    st.integers(0, 3),
)


@given(repeated, st.data())
def test_occurrences_that_overlap_each_other_are_hidden(
    pattern: bytes, data: st.DataObject
) -> None:
    pieces = st.sampled_from([pattern, pattern[:1], pattern[1:], pattern[:-1], b"b", b"-"])
    text = b"".join(data.draw(st.lists(pieces, max_size=12)))
    shown = bytes(
        byte
        for byte, hidden in zip(text, hidden_one_by_one(text, [pattern]), strict=True)
        if not hidden
    )
    assert TextSearch([pattern]).replace(text, b"*").replace(b"*", b"") == shown


def test_a_needle_that_repeats_itself_is_not_visited_at_every_place() -> None:
    assert len(list(_spans(b"a" * 65_536 + b"-" + b"ab" * 10_000, b"a" * 4_000))) <= 2
    assert len(list(_spans(b"-" + b"ab" * 10_000, b"ab" * 500))) <= 2


def test_data_made_of_the_beginnings_of_many_needles_is_hidden_as_a_whole() -> None:
    patterns = TextSearch(b"a" * (10 + number) + b"b" for number in range(240))
    assert patterns.replace(b"a" * 65_536, b"***") == b"***"
    assert patterns.replace(b"a" * 30 + b"b" + b"-" * 65_536, b"***").startswith(b"***--")


def test_few_and_many_needles_find_the_same() -> None:
    few = [b"secret-%d" % number for number in range(3)]
    many = few + [b"other-%d" % number for number in range(500)]
    data = b"a secret-1 secret-12 xsecret-0secret-2 " * 100
    assert TextSearch(few).replace(data, b"***") == TextSearch(many).replace(data, b"***")


def test_overlapping_secrets_are_hidden_together() -> None:
    patterns = TextSearch([b"abcdef", b"defghij"])
    assert patterns.replace(b"-abcdefghij-", b"***") == b"-***-"


def test_secrets_that_are_too_long_to_look_for_hide_everything() -> None:
    scrubber = Scrubber(["x" * 40_000])
    assert scrubber
    assert scrubber.scrub(b"anything") == b"***"
    assert scrubber.scrub_text("anything") == "***"
