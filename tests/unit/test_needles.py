"""Many texts are looked for at once, as they would be one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.message.needles import Needles
from delivery.message.scrub import Scrubber

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
