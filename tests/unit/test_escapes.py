"""Scrubbing of secrets that the language of a receiver escapes."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from delivery.message.redaction.escapes import Unescaped, unescaped_forms
from delivery.message.redaction.scrubber import Scrubber
from delivery.message.storage.exchanges import storable_body
from tests.support.escaping import ENCODERS

secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=6, max_size=24)
likely = st.text("aZ9+/=&<>\"'\\%#@ é€😀{}[]_-.:;?u0041", min_size=6, max_size=24)
encoders = st.sampled_from(sorted(ENCODERS))


def is_scrubbed(secret: str, text: str) -> bool:
    """Return True if a scrubbed text contains the secret in no form."""
    data = text.encode()
    layers = (data, *Unescaped(data).layers)
    plain = secret.encode()
    return not any(plain in layer or plain.replace(b"+", b" ") in layer for layer in layers)


@settings(deadline=None)
@given(secrets | likely, encoders, encoders)
@example("a/b+c&d<e", "php", "json")
@example("pass+word/1", ".net", "encodeURIComponent")
def test_a_secret_is_scrubbed_with_the_escapes_of_any_language(
    secret: str, first: str, second: str
) -> None:
    scrubber = Scrubber([secret])
    # A secret that contains escapes is found by its unescaped form, if that is long enough.
    assume("{{" not in secret and min(map(len, unescaped_forms(secret.encode()))) >= 6)
    if {first, second} & {"escape", "python"}:
        # They escape code points, which can look like the bytes of other characters.
        assume(not re.search("[\u0080-\u00ff]{2}", secret))
    for written in (ENCODERS[first](secret), ENCODERS[second](ENCODERS[first](secret))):
        text = f'{{"got": "{written}", "other": 1}}'
        for scrubbed in (scrubber.scrub_text(text), scrubber.scrub(text.encode()).decode()):
            assert "***" in scrubbed
            assert is_scrubbed(secret, scrubbed)
            assert written not in scrubbed


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_only_the_secret_is_replaced(name: str) -> None:
    secret = 'p/ä+s&s<w"o\\rd😀'
    written = ENCODERS[name](secret)
    before, after = 'a \\"b\\" %41 &amp; \\u0041', "\\/ %2F &lt; \\n"
    text = f"{before} {written} {after} {written}{after}"
    assert Scrubber([secret]).scrub_text(text) == f"{before} *** {after} ***{after}"


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_secret_that_is_cut_off_is_scrubbed_up_to_the_cut(name: str) -> None:
    secret = "sk/live+4242&é<hunter>2"
    scrubber = Scrubber([secret])
    written = f"some text {ENCODERS[name](ENCODERS['json'](secret))}".encode()
    for end in range(len(written)):
        stored = storable_body(written[:end], scrubber, 4_096, cut=True)
        for layer in (stored, *Unescaped(stored).layers):
            assert b"sk/live" not in layer.replace(b" ", b"+")
        assert stored.startswith(b"some text"[:end])


def test_the_beginning_of_a_secret_is_scrubbed_at_the_limit_of_a_body() -> None:
    secret = "hunter2/" * 5
    scrubber = Scrubber([secret])
    for written in (secret, "".join(f"\\u{ord(each):04x}" for each in secret)):
        for before in range(300):
            body = f"{'.' * before}{written}{'.' * 500}".encode()
            stored = storable_body(body, scrubber, 100)
            assert len(stored) <= 100
            assert all(b"hunter" not in each for each in (stored, *Unescaped(stored).layers))


def test_escaped_base64_is_scrubbed() -> None:
    secret = "???hunter2>>>"
    scrubber = Scrubber([secret])
    encoded = base64.b64encode(f"me:{secret}".encode()).decode()
    assert set(encoded) & set("+/")
    for name in ("php", "all in percent", ".net"):
        written = ENCODERS[name](encoded)
        assert written != encoded
        assert "***" in scrubber.scrub_text(f"x {written} y")


def test_scrubbing_text_without_secrets_returns_the_same_object() -> None:
    scrubber = Scrubber(["a/secret&here"])
    body = b'{"a": "b\\/c \\u0041 %41 &amp;"}'
    assert scrubber.scrub(body) is body
    assert storable_body(body, scrubber, 4_096, cut=True) == body


@pytest.mark.parametrize(
    "body",
    [
        b"\\u0041" * 170_000,
        b"\\" * 1_000_000,
        b"%25" * 330_000,
        b"%" * 1_000_000,
        b"&amp;" * 200_000,
        b"&" * 1_000_000,
        b"&#x26;#x26;" * 90_000,
        b"\\u005c\\u0075" * 80_000,
        b"a" * 1_000_000 + b"\\",
    ],
)
def test_hostile_escapes_take_linear_time(body: bytes) -> None:
    """With quadratic time, the test would exceed its timeout."""
    scrubber = Scrubber(["AAAAAAAAAA-hunter2"])
    assert scrubber.scrub(body) is body
    scrubber.scrub_cut_end(body)
    Scrubber(["AAAAAA"]).scrub(body)


@given(st.binary(max_size=40), st.binary(min_size=6, max_size=10))
def test_any_bytes_can_be_scrubbed(data: bytes, secret: bytes) -> None:
    scrubber = Scrubber([secret.decode("utf-8", "surrogateescape"), secret.hex()])
    scrubber.scrub(data)
    scrubber.scrub_cut_end(data)
    scrubber.scrub_text(data.decode("utf-8", "surrogateescape"))
