"""Validation and encoding of payloads."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum
from uuid import UUID

import pytest

from delivery.errors import InvalidPayload
from delivery.message.request.payload import DEEPEST_NESTING, decode_payload, encode_payload
from delivery.models import JobStatus, RetryPolicy

LIMIT = 1 << 20

ODD_TEXTS = [
    b'{"z": 1, "a": 2}',
    b' {"a":1,"a":2}\n',
    b"9223372036854775809",
    b"123456789012345678901234567890",
    b"1" * 6_000,
    b"-" + b"9" * 6_000,
    b"1e400",
    b"[-1E+9999, 1.50, 0.10, -0]",
    rb'"\u0000"',
    rb'"\ud800"',
    rb'{"\udfff": "\ud83d\u0000"}',
    '"😀 \u2028 é"'.encode(),
    b'"a\x7fb"',
    b"null",
    b"[]",
    b"\t[ 1 ,\r\n2 ]  ",
    b'"[[[[' + b"[" * 500 + b'"',
    b'{"a":"\\"[{","b":' + b"[]," * 0 + b"1}",
    b"[" + b"[]," * 500 + b"{}]",
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: repr(text[:20]))
def test_json_text_is_unchanged(text: bytes) -> None:
    """Parsers would change some of it. All of it can be decoded for conditions."""
    assert encode_payload(text, LIMIT) == text
    assert encode_payload(bytearray(text), LIMIT) == text
    decode_payload(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "line 1, column 2"),
        (b"[1,\n 2,]", "line 2, column 4"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"1 2", "extra data at line 1, column 3"),
        (b"nul", "line 1, column 1"),
        (b"01", "extra data"),
        (b"1.", "extra data"),
        (b"+1", "line 1, column 1"),
        (b"NaN", "NaN at byte 0"),
        (b'{"a NaN": [1, -Infinity]}', "-Infinity at byte 14"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "byte 1"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\x00"', "control character"),
        (b'"a\nb"', "control character"),
        (b'"\\x41"', "escape"),
        (b'"open', "line 1, column 1"),
        ("é".encode("latin-1"), "UTF-8"),
        (b'{"a":1}\x00', "extra data"),
        (b"[" * 300 + b'"', "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
        (b'"' + b'\\"[' * 100_000, "line 1, column 1"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_invalid_json_is_rejected_with_its_position(text: bytes, message: str) -> None:
    """No other exception is raised, at any depth of nesting."""
    with pytest.raises(InvalidPayload, match=message):
        encode_payload(text, LIMIT)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_allowed_to_its_limit(opening: str, closing: str) -> None:
    """One level more is rejected, both in text and in values."""
    for depth in (DEEPEST_NESTING, DEEPEST_NESTING + 1):
        text = opening * depth + "1" + closing * depth
        for given in (text.encode(), json.loads(text)):
            if depth == DEEPEST_NESTING:
                assert encode_payload(given, LIMIT) == text.encode()
            else:
                with pytest.raises(InvalidPayload, match="nested deeper"):
                    encode_payload(given, LIMIT)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"z": 1, "a": [True, None, 1.5]}, b'{"z":1,"a":[true,null,1.5]}'),
        ({"é": "😀\0"}, '{"é":"😀\\u0000"}'.encode()),
        (2**63 + 1, b"9223372036854775809"),
        ({"id": 2**200, "at": date(2026, 1, 2)}, b'{"id":%d,"at":"2026-01-02"}' % 2**200),
        ("text, not JSON {", b'"text, not JSON {"'),
        ((1, 2), b"[1,2]"),
        ("\ud800", rb'"\ud800"'),
        ({"\udc00": 2**70}, rb'{"\udc00":1180591620717411303424}'),
        (None, b"null"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b'"2026-01-02T03:04:05+00:00"'),
        (time(3, 4, tzinfo=timezone(timedelta(hours=1))), b'"03:04:00+01:00"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        ([UUID(int=1), 2**70], b'["00000000-0000-0000-0000-000000000001",1180591620717411303424]'),
        (JobStatus.QUEUED, b'"queued"'),
        ([JobStatus.QUEUED, None, 2**70], b'["queued",null,1180591620717411303424]'),
    ],
)
def test_values_are_encoded_compactly_in_their_order(value: object, text: bytes) -> None:
    """Some of the values are not supported by orjson."""
    assert encode_payload(value, LIMIT) == text


class Unit(Enum):
    """Enumeration with values that are not strings."""

    HALF = 0.5
    NOT_A_NUMBER = float("nan")


def test_members_of_enumerations_become_their_values() -> None:
    """Both encoders do this."""
    assert encode_payload([Unit.HALF, None], LIMIT) == b"[0.5,null]"
    assert encode_payload([Unit.HALF, 2**70], LIMIT) == b"[0.5,1180591620717411303424]"
    with pytest.raises(InvalidPayload, match="nan"):
        encode_payload([Unit.NOT_A_NUMBER], LIMIT)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, float("nan")]}, r"nan at \.a\[1\]"),
        (float("inf"), "inf at the top level"),
        ({1: 2}, "key of type int at the top level"),
        ({"a": {None: 2}}, r"key of type NoneType at \.a"),
        ({"a": {1, 2}}, r"a set at \.a"),
        ({"a": b"bytes"}, r"a bytes at \.a"),
        ({"\ud800": object()}, r"object at \.\\ud800"),
        (RetryPolicy(), "a RetryPolicy"),
        ([1j], r"a complex at \[0\]"),
    ],
)
def test_values_without_a_json_type_are_rejected(value: object, message: str) -> None:
    """The message contains the type and the position."""
    with pytest.raises(InvalidPayload, match=message):
        encode_payload(value, LIMIT)


def test_a_value_that_contains_itself_is_rejected() -> None:
    """No RecursionError is raised."""
    value: list[object] = [1]
    value.append(value)
    with pytest.raises(InvalidPayload, match="contains itself"):
        encode_payload(value, LIMIT)


def test_an_integer_with_too_many_digits_for_python_is_rejected() -> None:
    """Callers can send it as JSON text."""
    with pytest.raises(InvalidPayload, match="cannot be encoded"):
        encode_payload(10 ** (sys.get_int_max_str_digits() + 1), LIMIT)


def test_the_size_limit_counts_bytes() -> None:
    """The limit itself is allowed, both for text and for values."""
    assert len(encode_payload(b'"12345678"', 10)) == 10
    assert len(encode_payload("é" * 4, 10)) == 10
    for value in (b'"123456789"', "é" * 5):
        with pytest.raises(InvalidPayload, match=r"1[12] bytes.*allows 10"):
            encode_payload(value, 10)


def test_messages_do_not_quote_values() -> None:
    """Messages are logged, and payloads can contain personal data."""
    for value in (b'{"a": "hunter2" "b"}', {"a": "hunter2", "b": {1}}):
        with pytest.raises(InvalidPayload) as caught:
            encode_payload(value, LIMIT)
        assert "hunter2" not in str(caught.value)


def test_decoded_integers_have_at_least_64_bits() -> None:
    """Conditions compare decoded numbers."""
    assert decode_payload(b"18446744073709551615") == 2**64 - 1
    assert decode_payload(b'[1e400, "\\ud800"]') == [float("inf"), "\ud800"]
    assert decode_payload(b"[1e400, " + b"9" * 5_000 + b"]") == [float("inf"), float("inf")]


def test_dataclasses_are_rejected() -> None:
    """The caller must choose the fields to send."""
    with pytest.raises(InvalidPayload, match="RetryPolicy"):
        encode_payload({"policy": RetryPolicy()}, LIMIT)
    encode_payload(dataclasses.asdict(RetryPolicy()), LIMIT)
