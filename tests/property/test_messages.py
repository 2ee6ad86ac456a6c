"""Properties of payloads, signatures and heads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import InvalidPayload, InvalidReaction, InvalidSecret, InvalidSignature
from delivery.message.redaction.by_name import redact_head, redact_query, redact_url
from delivery.message.request.head import find_header, message_headers
from delivery.message.request.payload import decode_payload, encode_payload
from delivery.message.request.template import RequestTemplate
from delivery.message.request.validation import validate_params
from delivery.message.signing import Signer, parse_secret, verify
from delivery.models import Body, BodyKind, HttpParams

LIMIT = 1 << 20

any_text = st.text(st.characters(exclude_categories=()), max_size=10)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=15,
)
keys = st.binary(min_size=24, max_size=64)


def secret_of(key: bytes) -> str:
    """Return the text form of a secret."""
    return "whsec_" + base64.b64encode(key).decode()


@given(json_values)
def test_payload_values_round_trip(value: object) -> None:
    """This covers integers of any size, lone surrogates and key order."""
    data = encode_payload(value, LIMIT)
    read = json.loads(data)
    assert read == value
    assert json.dumps(read) == json.dumps(value)
    assert encode_payload(data, LIMIT) == data


@given(json_values, st.sampled_from([None, 1, "\t"]), st.sampled_from(["ascii", "utf-8"]))
def test_any_json_text_is_unchanged(value: object, indent: int | str | None, writer: str) -> None:
    """Encoders of JSON differ in spaces and escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=writer == "ascii")
    data = text.encode("utf-8", "backslashreplace")
    assert encode_payload(data, LIMIT) is data
    decode_payload(data)


@given(
    st.binary(max_size=30)
    | st.text(st.sampled_from([*'[]{}",:\\ntrue-1e.+09 \nN/u']), max_size=30).map(str.encode)
)
def test_payloads_are_accepted_exactly_if_a_strict_parser_accepts_them(data: bytes) -> None:
    """The reference is the standard library with strict UTF-8, without NaN and Infinity."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(data.decode(), parse_constant=refuse)
        expected = not data.startswith(b"\xef\xbb\xbf")
    except ValueError:
        expected = False
    try:
        accepted = encode_payload(data, LIMIT) == data
    except InvalidPayload:
        accepted = False
    assert accepted is expected


@given(
    st.lists(keys, min_size=1, max_size=3),
    st.text("ab_-9", min_size=1),
    st.integers(0, 10**11),
    st.binary(),
)
def test_signatures_are_hmacs_of_the_message(
    given_keys: list[bytes], message_id: str, timestamp: int, body: bytes
) -> None:
    """The references are the HMAC of the standard library and `verify`."""
    secrets = [secret_of(key) for key in given_keys]
    value = Signer(secrets).sign(message_id, timestamp, body)
    message = f"{message_id}.{timestamp}.".encode() + body
    assert value.split(b" ") == [
        b"v1," + base64.b64encode(hmac.digest(key, message, hashlib.sha256)) for key in given_keys
    ]
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": value.decode(),
    }
    for secret in secrets:
        assert verify(body, headers, secret, now=timestamp).id == message_id
        with pytest.raises(InvalidSignature):
            verify(body + b"x", headers, secret, now=timestamp)


@given(keys, st.integers(0, 2))
def test_secrets_encode_their_key(key: bytes, dropped: int) -> None:
    """The padding is optional."""
    text = secret_of(key)
    padding = len(text) - len(text.rstrip("="))
    assert parse_secret(text[: len(text) - min(dropped, padding)]) == key


@given(st.text())
def test_any_text_is_parsed_as_a_secret_or_rejected(text: str) -> None:
    """No other exception is raised. The message does not contain the text."""
    for prefix in ("", "whsec_", "whsk_"):
        for candidate in (prefix + text, f"{prefix}hunter2{text}"):
            try:
                parse_secret(candidate)
            except InvalidSecret as error:
                assert "hunter2" not in str(error)  # noqa: PT017 - both results are valid


@given(any_text)
def test_redaction_of_any_text_is_idempotent(text: str) -> None:
    """The text can be an invalid URL."""
    for redact in (redact_url, redact_query):
        once = redact(text)
        assert redact(once) == once
    assert "hunter2" not in redact_url(f"https://u:hunter2@e.com/{text.replace('@', '')}")


@given(st.binary())
def test_any_head_can_be_parsed_and_redacted(head: bytes) -> None:
    """Servers can send arbitrary bytes."""
    message_headers(head)
    find_header(head, b"a")
    assert redact_head(redact_head(head)) == redact_head(head)


@given(
    st.sampled_from(["POST", "GET", "put"]),
    st.lists(
        st.tuples(
            st.text("abAB-_é: ", max_size=6) | st.just("Authorization"),
            st.text(st.characters(max_codepoint=0x17F), max_size=10),
        ),
        max_size=4,
    ),
    st.sampled_from([Body(), Body(BodyKind.ENVELOPE), Body(BodyKind.RAW, "x")]),
)
def test_valid_headers_are_neither_lost_nor_injected(
    method: str, headers: list[tuple[str, str]], body: Body
) -> None:
    """Parsing the request yields exactly the accepted headers."""
    params = HttpParams(url="", method=method, headers=tuple(headers), body=body)
    try:
        params = validate_params(params)
    except InvalidReaction:
        return
    made = RequestTemplate(params, host="e", target="/", user_agent="d")
    rendered = made.render("msg_1", 1, "a.b", 0.0, b"{}")
    assert rendered.head.count(b"\r\n\r\n") == 1
    parsed = message_headers(rendered.head)
    assert parsed[len(parsed) - len(params.headers) :] == params.headers
    assert find_header(rendered.head, b"host") == b"e"
    length = find_header(rendered.head, b"content-length")
    assert int(length or 0) == len(rendered.body)


@given(st.floats(0, 4e9), any_text, json_values)
def test_the_envelope_contains_the_unchanged_payload(
    created_at: float, event_type: str, value: object
) -> None:
    """The envelope is valid JSON."""
    try:
        event_type.encode()
    except UnicodeEncodeError:
        return
    payload = encode_payload(value, LIMIT)
    params = HttpParams(url="", body=Body(BodyKind.ENVELOPE))
    made = RequestTemplate(params, host="e", target="/", user_agent="d")
    body = made.render("msg_1", 1, event_type, created_at, payload).body
    assert body.endswith(b'"data":' + payload + b"}")
    read = json.loads(body)
    assert (read["type"], read["data"]) == (event_type, value)
    assert math.isclose(_epoch(read["timestamp"]), created_at, abs_tol=1e-5)


def _epoch(stamp: str) -> float:
    assert stamp.endswith("Z")
    return datetime.fromisoformat(stamp).timestamp()
