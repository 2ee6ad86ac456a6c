"""Stored and displayed heads."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from delivery.message.redaction.scrubber import Scrubber
from delivery.message.request.head import cut_head, last_head, message_headers, redirects_in
from delivery.message.storage.exchanges import storable_head

OK = b"HTTP/1.1 200 OK\r\n"


def test_a_head_within_the_limit_is_unchanged() -> None:
    head = OK + b"X: y"
    assert cut_head(head, 1_024) is head
    assert storable_head(head, None, 1_024) is head


def test_a_long_head_is_cut_between_fields_with_a_note() -> None:
    head = OK + b"\r\n".join(b"X-%04d: some value" % number for number in range(3_000))
    stored = cut_head(head, 4_096)
    assert len(stored) <= 4_096
    headers = message_headers(stored)
    assert headers[0] == ("X-0000", "some value")
    assert all(value == "some value" for _, value in headers[:-1])
    note = re.fullmatch(r"\(([0-9,]+) more bytes of this head were not stored\)", headers[-1][0])
    assert note is not None
    fields = stored.rpartition(b"\r\n(")[0]
    assert int(note[1].replace(",", "")) == len(head) - len(fields)


def test_a_field_is_omitted_with_its_continuation_lines() -> None:
    head = OK + b"A: b\r\nSet-Cookie: a" + b"\r\n secret" * 500 + b"\r\nC: d"
    stored = cut_head(head, 1_024)
    assert b"secret" not in stored
    assert [name for name, _ in message_headers(stored)][:-1] == ["A", "C"]


def test_redirects_with_long_heads_retain_their_locations() -> None:
    long = b"\r\nX: " + b"y" * 30_000
    heads = b"".join(
        b"HTTP/1.1 307 Again%b\r\nLocation: http://h.test/%d\r\n\r\n" % (long, number)
        for number in range(3)
    )
    stored = storable_head(heads + OK + b"Y: z" + long, None, 1_024)
    assert len(stored) <= 1_024
    assert [each.location for each in redirects_in(stored)] == [
        f"http://h.test/{number}" for number in range(3)
    ]
    assert last_head(stored).startswith(OK + b"Y: z\r\n(")


def test_no_part_of_a_secret_remains_at_the_cut_of_a_head() -> None:
    secret = "s" * 40
    scrubber = Scrubber([secret])
    for filler in range(900, 1_024):
        head = b"HTTP/1.1 200 " + b"x" * filler + secret.encode() + b"\r\nX: " + b"y" * 2_000
        assert b"ss" not in storable_head(head, scrubber, 1_024)
        head = OK + b"A: " + b"x" * filler + secret.encode() + b"\r\nX: " + b"y" * 2_000
        assert b"ss" not in storable_head(head, scrubber, 1_024)


lines = st.lists(st.binary(max_size=300).map(lambda line: line.replace(b"\n", b"")), max_size=40)


@given(lines, st.integers(1_024, 2_000))
def test_any_head_is_cut_to_the_limit(lines: list[bytes], limit: int) -> None:
    head = OK + b"\r\n".join(lines)
    assert len(cut_head(head, limit)) <= limit


def test_folded_lines_are_joined_once() -> None:
    head = OK + b"A: 1\r\n 2\r\n\t3\r\nB:\r\n  4\r\nC\r\nD: x\n y"
    assert message_headers(head) == (("A", "1 2 3"), ("B", "4"), ("C", ""), ("D", "x y"))
    ((_, value),) = message_headers(OK + b"A: 1" + b"\r\n 2" * 200_000)
    assert len(value) == 400_001


def test_a_long_head_is_redacted_only_up_to_the_limit() -> None:
    head = OK + b"Location: http://a@b.test/?token=1\r\n" * 25_000
    began = time.process_time()
    stored = storable_head(head, None, 16_384)
    assert time.process_time() - began < 2
    assert b"token=1" not in stored
    assert b"a@b" not in stored
