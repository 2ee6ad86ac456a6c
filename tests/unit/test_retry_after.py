"""Tests of the Retry-After parser."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from delivery.policy.retry_after import parse_retry_after, retry_after_of

NOW = datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (b"120", 120),
        (" 7\t", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 1.5),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
        ("Sun Nov  6 08:49:37 1994", 37),
        (b"Sun, 06 Nov 1994 08:48:00 GMT", 0),
        ("Sun, 06 Nov 1994 09:49:00 +0100", 0),
        ("9" * 100, 315_360_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 315_360_000),
    ],
)
def test_seconds_and_dates_are_parsed(value: bytes | str, seconds: float) -> None:
    """Past dates give 0, and long delays are cut to ten years."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "soon", "1e3", "١٢", b"\xff\xfe", "12 seconds", "Sun, 99 Foo 1994 99:99:99", "9" * 200],
)
def test_other_values_are_ignored(value: bytes | str) -> None:
    assert parse_retry_after(value, NOW) is None


def test_the_header_is_found_in_a_response_head() -> None:
    """The name is case-insensitive and must match completely."""
    head = b"HTTP/1.1 429 Retry-After: 1\r\nX-Retry-After: 2\r\nRETRY-after:  3 \r\nA: b"
    assert retry_after_of(head, NOW) == 3
    assert retry_after_of(b"HTTP/1.1 503 Slow\r\nA: b", NOW) is None
    assert retry_after_of(b"", NOW) is None
