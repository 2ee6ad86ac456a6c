"""Many texts are looked for at once, as they would be one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.message.redaction.scrubber import Scrubber
from delivery.message.redaction.text_search import Needles, _spans

letters = st.binary(min_size=1, max_size=5).map(lambda data: bytes(97 + byte % 3 for byte in data))


def hidden_one_by_one(data: bytes, needles: list[bytes]) -> list[bool]:
    """Which bytes are part of a needle."""
    hidden = [False] * len(data)
    for needle in needles:
        for place in range(len(data) - len(needle) + 1):
            if data[place : place + len(needle)] == needle:
                hidden[place : place + len(needle)] = [True] * len(needle)
    return hidden


@given(st.lists(letters, min_size=1, max_size=40), st.lists(letters, max_size=20).map(b"".join))
def test_every_byte_of_every_needle_is_hidden_and_no_other(
    needles: list[bytes], data: bytes
) -> None:
    shown = bytes(
        byte
        for byte, hidden in zip(data, hidden_one_by_one(data, needles), strict=True)
        if not hidden
    )
    found = Needles(needles).hide(data, b"*")
    assert found.replace(b"*", b"") == shown
    assert (found is data) == (shown == data)


repeated = st.builds(
    lambda word, times, rest: word * times + word[:rest],
    st.binary(min_size=1, max_size=3).map(lambda data: bytes(97 + byte % 2 for byte in data)),
    st.integers(1, 5),
    st.integers(0, 3),
)


@given(repeated, st.data())
def test_occurrences_that_overlap_each_other_are_hidden(needle: bytes, data: st.DataObject) -> None:
    pieces = st.sampled_from([needle, needle[:1], needle[1:], needle[:-1], b"b", b"-"])
    text = b"".join(data.draw(st.lists(pieces, max_size=12)))
    shown = bytes(
        byte
        for byte, hidden in zip(text, hidden_one_by_one(text, [needle]), strict=True)
        if not hidden
    )
    assert Needles([needle]).hide(text, b"*").replace(b"*", b"") == shown


def test_a_needle_that_repeats_itself_is_not_visited_at_every_place() -> None:
    assert len(list(_spans(b"a" * 65_536 + b"-" + b"ab" * 10_000, b"a" * 4_000))) <= 2
    assert len(list(_spans(b"-" + b"ab" * 10_000, b"ab" * 500))) <= 2


def test_data_made_of_the_beginnings_of_many_needles_is_hidden_as_a_whole() -> None:
    needles = Needles(b"a" * (10 + number) + b"b" for number in range(240))
    assert needles.hide(b"a" * 65_536, b"***") == b"***"
    assert needles.hide(b"a" * 30 + b"b" + b"-" * 65_536, b"***").startswith(b"***--")


def test_few_and_many_needles_find_the_same() -> None:
    few = [b"secret-%d" % number for number in range(3)]
    many = few + [b"other-%d" % number for number in range(500)]
    data = b"a secret-1 secret-12 xsecret-0secret-2 " * 100
    assert Needles(few).hide(data, b"***") == Needles(many).hide(data, b"***")


def test_overlapping_secrets_are_hidden_together() -> None:
    needles = Needles([b"abcdef", b"defghij"])
    assert needles.hide(b"-abcdefghij-", b"***") == b"-***-"


def test_secrets_that_are_too_long_to_look_for_hide_everything() -> None:
    scrubber = Scrubber(["x" * 40_000])
    assert scrubber
    assert scrubber.scrub(b"anything") == b"***"
    assert scrubber.scrub_text("anything") == "***"
