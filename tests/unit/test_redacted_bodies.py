"""Redacted and scrubbed bodies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import (
    add_secret_names,
    exempt_names,
    has_secret_keys,
    is_secret_key,
    may_be_secret,
)
from delivery.message.redaction.scrubber import FEWEST_CHARACTERS, Scrubber, secrets_in_call
from delivery.message.storage.exchanges import storable_body
from delivery.models import Body, BodyKind, HttpParams, TlsOptions


@pytest.mark.parametrize(
    ("body", "expected_body"),
    [
        (b'{"password": "hunter2", "n": 1.10}', b'{"password": "***", "n": 1.10}'),
        (b'{"a": [{"apiKey":12345}]}', b'{"a": [{"apiKey":"***"}]}'),
        (b'{"client_secret" : {"a": ["]", "}"]}, "b": 1}', b'{"client_secret" : "***", "b": 1}'),
        (b'{"pass\\u0077ord": "x\\"y"}', b'{"pass\\u0077ord": "***"}'),
        (b'{"access-token": 12, "b": "c"}', b'{"access-token": "***", "b": "c"}'),
        (
            b'{"password": 1234, "pin":0, "cvv": 123}',
            b'{"password": "***", "pin":"***", "cvv": "***"}',
        ),
        (b'{"token_list": ["2026-01-01", "x"]}', b'{"token_list": "***"}'),
        (b'{"token_count": "12345 or so"}', b'{"token_count": "***"}'),
        (b'{"token_until": "2026-01-', b'{"token_until": "***"'),
        (b'{"password": "cut off in the mid', b'{"password": "***"'),
        (b'{"password": ["a", {"b": "c', b'{"password": "***"'),
        (b"a=1&access_token=x%26y&b=2", b"a=1&access_token=***&b=2"),
        (b'<p class="x>{"token": "x"}', b'<p class="x>{"token": "***"}'),
        (b'{"a": "b\\", "token": "x"}', b'{"a": "b\\", "token": "***"}'),
        (b'{"a": "{\\"token\\":\\"x\\"}"}', b'{"a": "{\\"token\\":\\"***\\"}"}'),
        (b'{"a": "{\\"token\\": [1, 2], \\"b\\"}"}', b'{"a": "{\\"token\\": \\"***\\", \\"b\\"}"}'),
        (
            b'{"a": "{\\"auth\\": {\\"b\\": \\"x\\"}}", "c": 1}',
            b'{"a": "{\\"auth\\": \\"***\\"}", "c": 1}',
        ),
        (b'"{\\"pin\\":1234}"', b'"{\\"pin\\":\\"***\\"}"'),
        (b'"\\"pin\\": \\"a\\\\\\"b\\", x"', b'"\\"pin\\": \\"***\\", x"'),
        (
            b'{"next": "https://e.test/?a=1&token=x&b=2"}',
            b'{"next": "https://e.test/?a=1&token=***&b=2"}',
        ),
        (b'{"f": "a=1\\u0026token=x\\/y\\u0026b=2"}', b'{"f": "a=1\\u0026token=***\\u0026b=2"}'),
        (b'{"f": "token=x y"}', b'{"f": "token=*** y"}'),
        (b'{"f": "{\\"u\\": \\"/?token=x\\"}"}', b'{"f": "{\\"u\\": \\"/?token=***\\"}"}'),
        (b'<a href="/?a=1&amp;token=x">', b'<a href="/?a=1&amp;token=***">'),
        (b"see https://e.test/?token=x, or", b"see https://e.test/?token=*** or"),
        (
            b'{"q": "next=https%3A%2F%2Fe.test%2F%3Ftoken%3Dx%26b%3D1&c=2"}',
            b'{"q": "next=https%3A%2F%2Fe.test%2F%3Ftoken%3D***%26b%3D1&c=2"}',
        ),
        (
            b'{"q": "?d=%7B%22password%22%3A%22x%22%7D&c=2"}',
            b'{"q": "?d=%7B%22password%22%3A***&c=2"}',
        ),
        (b'event: {"token": "x"}\n{"token": "y"}', b'event: {"token": "***"}\n{"token": "***"}'),
    ],
)
def test_values_under_secret_names_are_redacted(body: bytes, expected_body: bytes) -> None:
    assert redact_body(body) == expected_body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b'{"key": "a/b", "sort_key": 1, "monkey": "x", "compass": "N"}',
        b'{"password": null, "token": "", "secrets": [ ], "auth": {}}',
        b'{"total_tokens": 12, "signature_required": true, "password": false}',
        b'{"usage_tokens": {"prompt": 12, "a": [1.5, null]}, "tokens_used": [ ]}',
        b'{"token_expires_at": "2026-01-02T03:04:05.5Z", "password_changed": "2026-01-02"}',
        b'{"a": "{\\"total_tokens\\": 12, \\"secret_count\\": {\\"n\\": 1}}"}',
        b"token_count=12&signature_required=true&password_expires=2026-01-02",
        b'{"note": "the \\"password\\": is here"}',
        b"<html>token=1</html>",
        b'{"a": "https://e.test/?total_tokens=12&a=b", "b": "tokens = x"}',
        b"\x00\xff\x80 token",
        b'"token"',
    ],
)
def test_a_body_without_secrets_is_returned_as_the_same_object(body: bytes) -> None:
    assert redact_body(body) is body


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [
        *(("api_key", True), ("accessKey", True), ("signing-key", True), ("privateKey", True)),
        *(("key", False), ("object_key", False), ("keyboard", False), ("cache_key", False)),
        *(("Authorization", True), ("sessionId", True), ("card_pin", True), ("shipping", False)),
    ],
)
def test_the_words_of_a_key_make_it_secret(key: str, is_secret: bool) -> None:  # noqa: FBT001
    assert is_secret_key(key) is is_secret
    assert has_secret_keys([{"a": {key: "x"}}]) is is_secret


def test_added_names_are_redacted_in_every_spelling() -> None:
    body = b'{"Kunden-Nr": "4711", "kundenNr": 4712}'
    assert redact_body(body) is body
    add_secret_names(["kunden_nr"])
    assert redact_body(body) == b'{"Kunden-Nr": "***", "kundenNr": "***"}'
    assert has_secret_keys({"KUNDEN_NR": 1})


def test_exempt_names_are_not_redacted_in_any_spelling() -> None:
    body = b'{"Weiter-Token": "abc", "weiterToken": "def"}'
    assert redact_body(body) != body
    exempt_names(["weiter_token"])
    assert redact_body(body) is body
    assert not has_secret_keys({"WEITER_TOKEN": "x"})
    add_secret_names(["weiter_token"])
    assert redact_body(body) != body, "an added name takes precedence"


names = st.sampled_from(
    [
        *("password", "apiKey", "token", "a", "b", "name", 'x"y', "pässword", "key"),
        *("total_tokens", "signature_required", "token_id"),
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["}{][", "2026-01-02", "12", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


def expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "***" if is_secret_key(key) and may_be_secret(key, each) else expected(each)
            for key, each in value.items()
        }
    return [expected(each) for each in value] if isinstance(value, list) else value


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_redacted_json_is_valid_and_loses_only_secrets(
    value: Any,
    ascii_only: bool,  # noqa: FBT001
    indent: int | None,
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert json.loads(redact_body(text)) == expected(value)
    assert (expected(value) != value) == has_secret_keys(value)


@given(values, st.integers(0, 400))
def test_a_body_that_is_cut_off_leaks_no_secret(value: Any, end: int) -> None:
    text = json.dumps({"before": value, "password": "hunter2-hunter2", "after": 1}).encode()
    assert b"hunter2-" not in redact_body(text[:end])


def test_known_secrets_are_scrubbed_in_all_their_forms() -> None:
    call = HttpParams(
        "https://e.test/?api_key=from%20query",
        headers=(("Authorization", "Basic dXNlcjpmcm9tIGJhc2lj"), ("X-Token", "bearerless")),
        query=(("token", "from pair"),),
        body=Body(BodyKind.JSON, {"secret": {"a": ["in body"]}, "open": "visible"}),
        tls=TlsOptions(client_key="-----BEGIN KEY-----\nMIIEabcdef\n-----END KEY-----"),
        secrets=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
    )
    scrubber = Scrubber(secrets_in_call(call))
    for text in (
        "got from query",
        "got from%20query",
        "got from+query",
        "got ZnJvbSBxdWVyeQ==",
        "Basic dXNlcjpmcm9tIGJhc2lj",
        "from basic",
        "bearerless",
        "from pair",
        "in body",
        "MIIEabcdef",
        "key=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ):
        scrubbed = scrubber.scrub_text(text)
        assert "***" in scrubbed, text
        assert scrubber.scrub(text.encode()) == scrubbed.encode()
    visible = b"visible and user"
    assert scrubber.scrub(visible) is visible


def test_short_secrets_are_not_scrubbed() -> None:
    assert not Scrubber(["a" * (FEWEST_CHARACTERS - 1)])


@given(st.binary(min_size=6, max_size=30), st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_is_scrubbed_at_any_position_in_base64(
    secret: bytes, before: bytes, after: bytes
) -> None:

    text = secret.hex()
    whole = base64.b64encode(before + text.encode() + after)
    assert b"***" in Scrubber([text]).scrub(whole)


@pytest.mark.parametrize(
    "body",
    [
        b"a=b&token=c&" + b"x" * 1_000_000,
        b"a=b&token=c&" + b"&" * 1_000_000,
        b'"' * 1_000_000 + b"token",
        b'"' + b"\\" * 1_000_000 + b"token",
        b'\\"' * 500_000 + b"token",
        b'"token":[' * 100_000,
        b'\\"token\\":\\"x' * 50_000,
        b'\\"token\\":{\\"x' * 50_000,
        b'\\"token\\":[' * 100_000,
        b"?token%3D" * 100_000,
        b'"?token=' * 100_000,
        b"?" + b"token%253D" * 100_000,
        b"?token%" + b"25" * 500_000,
        b'{"token_a":' * 80_000 + b"1" + b"}" * 80_000,
    ],
)
def test_hostile_bodies_are_redacted_in_linear_time(body: bytes) -> None:
    """With quadratic time, the test would exceed its timeout."""
    assert len(redact_body(body)) <= len(body) + 200_000


def test_a_secret_at_the_limit_of_a_body_is_not_cut_in_half() -> None:
    first, second = "first-secret-" + "a" * 60, "second-secret-" + "b" * 60
    scrubber = Scrubber([first, second])
    for before in range(200):
        body = f"{'.' * before}{first}{first}{second} and more {'.' * 500}".encode()
        expected_body = storable_body(body, scrubber, 100)
        assert b"second-s" not in expected_body
        assert len(expected_body) <= 100


def test_the_longer_of_two_secrets_with_a_common_prefix_is_scrubbed() -> None:
    both = Scrubber(["abcdef"]).plus(Scrubber(["abcdef-and-a-tail"]))
    assert both.scrub(b"x abcdef-and-a-tail y abcdef") == b"x *** y ***"


def test_too_many_secrets_replace_the_whole_text() -> None:
    scrubber = Scrubber(f"secret-{number}" for number in range(1_000_000))
    assert scrubber
    assert (scrubber.scrub(b"anything"), scrubber.scrub_text("at all")) == (b"***", "***")
    assert scrubber.scrub(b"") == b""
    assert Scrubber(["other-secret"]).plus(scrubber).scrub(b"anything") == b"***"


@pytest.mark.parametrize(
    ("params", "secret"),
    [
        ({"headers": (("Cookie", "sid=from-cookie; theme=dark"),)}, "from-cookie"),
        ({"body": Body(BodyKind.RAW, "user=a&password=from-form")}, "from-form"),
        ({"body": Body(BodyKind.RAW, "password=x&password=from-second")}, "from-second"),
        ({"body": Body(BodyKind.FORM, {"password": "from-fields"})}, "from-fields"),
    ],
)
def test_secret_parts_of_cookies_and_forms_are_scrubbed(
    params: dict[str, Any], secret: str
) -> None:
    scrubber = Scrubber(secrets_in_call(HttpParams("https://e.test/", **params)))
    assert scrubber.scrub_text(f"got {secret}!") == "got ***!"
