"""Validation of calls."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from delivery.errors import InvalidReaction, InvalidSecret
from delivery.message.request.validation import METHODS, validate_params
from delivery.message.signing import generate_secret
from delivery.models import (
    Body,
    BodyKind,
    HttpParams,
    RetryPolicy,
    StatusAction,
    TlsOptions,
)

PARAMS = HttpParams(url="https://example.com/hook")


def checked(**changes: Any) -> HttpParams:
    """Validate a valid call with changes."""
    return validate_params(dataclasses.replace(PARAMS, **changes))


def test_a_valid_call_is_returned_unchanged() -> None:
    """The defaults are valid."""
    assert validate_params(PARAMS) == PARAMS


def test_a_call_is_returned_in_canonical_form() -> None:
    """Methods are in capitals, values are trimmed, and actions are enum members."""
    params = checked(
        method="patch",
        headers=[["X-A", " b\t"], ("X-é".replace("é", "e"), "ü")],
        status_actions={"4XX": "fail"},
        secrets=[generate_secret()],
    )
    assert params.method == "PATCH"
    assert params.headers == (("X-A", "b"), ("X-e", "ü"))
    assert params.status_actions == (("4xx", StatusAction.FAIL),)
    assert isinstance(params.secrets, tuple)


@pytest.mark.parametrize("method", METHODS)
def test_usual_methods_are_allowed(method: str) -> None:
    """There are seven."""
    assert checked(method=method).method == method


@pytest.mark.parametrize("method", ["", "CONNECT", "TRACE", "GET /x HTTP/1.1\r\nA: b", "POST\n"])
def test_other_methods_are_rejected(method: str) -> None:
    """The message lists the allowed methods."""
    with pytest.raises(InvalidReaction, match="must be one of DELETE, GET"):
        checked(method=method)


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\r\nB", "a\n", "(a)", "x" * 257])
def test_invalid_header_names_are_rejected(name: str) -> None:
    """Names are tokens of RFC 9110."""
    with pytest.raises(InvalidReaction, match="not a header name"):
        checked(headers=((name, "v"),))


@pytest.mark.parametrize("mark", ["\r", "\n", "\0", "\x1b", "\x7f", "\r\nX-Injected: 1"])
def test_control_characters_in_a_header_value_are_rejected(mark: str) -> None:
    """They could inject headers. The message does not contain the value."""
    with pytest.raises(InvalidReaction, match=r"header X-A .* position 7") as caught:
        checked(headers=(("X-A", f"hunter2{mark}b"),))
    assert "hunter2" not in str(caught.value)


def test_header_values_beyond_latin_1_are_rejected() -> None:
    """The message gives the position and the remedy."""
    with pytest.raises(InvalidReaction, match=r"position 2 .* ISO 8859-1"):
        checked(headers=(("X-A", "ü €"),))


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "Expect", "TE"),
        *("webhook-id", "Webhook-Signature", "webhook-anything", "Proxy-Connection"),
    ],
)
def test_headers_that_the_engine_sets_are_rejected(name: str) -> None:
    """The message gives the reason."""
    with pytest.raises(InvalidReaction, match=f"header {name} cannot be set: "):
        checked(headers=((name, "v"),))


@pytest.mark.parametrize(
    "name",
    [
        *("Content_Length", "transfer_encoding", "TRANSFER_ENCODING", "Transfer.Encoding"),
        *("webhook_id", "Webhook_Signature", "Proxy_Connection", "http2_settings", "Keep_Alive"),
    ],
)
def test_headers_that_cgi_confuses_with_those_of_the_engine_are_rejected(name: str) -> None:
    """CGI and WSGI map both to the same variable."""
    with pytest.raises(InvalidReaction, match=f"header {name} cannot be set: many servers read it"):
        checked(headers=((name, "v"),))


def test_headers_that_cgi_confuses_cannot_be_repeated() -> None:
    for one, other in (("User-Agent", "User_Agent"), ("Content_Type", "content-type")):
        with pytest.raises(InvalidReaction, match="twice"):
            checked(headers=((one, "1"), (other, "2")))
    with pytest.raises(InvalidReaction, match="compression already sets Content-Encoding"):
        checked(headers=(("Content_Encoding", "br"),), compression="gzip")
    with pytest.raises(InvalidReaction, match="content type is given twice"):
        checked(
            headers=(("Content_Type", "text/plain"),),
            body=Body(BodyKind.RAW, "x", content_type="text/html"),
        )
    checked(headers=(("X_A", "1"), ("X-A", "2")))


def test_only_headers_with_a_list_of_values_can_be_repeated() -> None:
    """RFC 9110 defines this."""
    checked(headers=(("X-A", "1"), ("x-a", "2")))
    with pytest.raises(InvalidReaction, match="twice"):
        checked(headers=(("User-Agent", "1"), ("user-agent", "2")))


def test_the_number_and_length_of_headers_are_limited() -> None:
    checked(headers=tuple((f"X-{number}", "v") for number in range(100)))
    with pytest.raises(InvalidReaction, match="101 headers"):
        checked(headers=tuple((f"X-{number}", "v") for number in range(101)))
    with pytest.raises(InvalidReaction, match="8193 characters"):
        checked(headers=(("X-A", "v" * 8_193),))
    with pytest.raises(InvalidReaction, match="a int"):
        checked(headers=(("X-A", 5),))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (Body(BodyKind.PAYLOAD, {"a": 1}), '"payload" takes no content'),
        (Body(BodyKind.ENVELOPE, ""), '"envelope" takes no content'),
        (Body(BodyKind.NONE, 1), '"none" takes no content'),
        (Body(BodyKind.NONE, None, "text/plain"), "no content_type"),
        (Body(BodyKind.JSON, {"a": float("nan")}), r"it has nan at \.a"),
        (Body(BodyKind.JSON, {"a": {1}}), r"a set at \.a"),
        (Body(BodyKind.JSON, b"{}"), "must be a JSON value"),
        (Body(BodyKind.JSON, 2**70), 'use a "raw" body'),
        (Body(BodyKind.FORM, None), "must be a mapping, not null"),
        (Body(BodyKind.FORM, [("a", "b")]), "must be a mapping, not a list"),
        (Body(BodyKind.FORM, {"a": ["b"]}), "field 'a' .* a list"),
        (Body(BodyKind.FORM, {"a": None}), "field 'a' .* null"),
        (Body(BodyKind.FORM, {1: "b"}), "names must be strings"),
        (Body(BodyKind.RAW), "must be a string, not null"),
        (Body(BodyKind.RAW, b"x"), "must be a string, not a bytes"),
        (Body(BodyKind.RAW, "\ud800"), "lone surrogate"),
        (Body(BodyKind.FORM, {"a": "\ud800"}), "lone surrogate"),
        (Body(BodyKind.RAW, "x" * 1_048_577), "1,048,577 bytes"),
        (Body(BodyKind.RAW, "x", "text/plain\r\nX: y"), "Content-Type .* position 10"),
        (Body(BodyKind.RAW, "x", " "), "content_type is empty"),
    ],
)
def test_content_that_does_not_fit_the_kind_is_rejected(body: Body, message: str) -> None:
    """The message names the kind."""
    with pytest.raises(InvalidReaction, match=message):
        checked(body=body)


def test_the_content_type_cannot_be_given_twice() -> None:
    """It is given either with the body or as a header."""
    checked(headers=(("Content-Type", "a/b"),))
    with pytest.raises(InvalidReaction, match="given twice"):
        checked(headers=(("Content-Type", "a/b"),), body=Body(BodyKind.RAW, "x", "c/d"))


@pytest.mark.parametrize("key", ["timeout", "connect_timeout"])
@pytest.mark.parametrize("value", [0, -1.0, 300.1, float("nan"), float("inf"), True, "5"])
def test_timeouts_are_limited(key: str, value: object) -> None:
    """Each call has timeouts."""
    checked(**{key: 300})
    checked(**{key: 0.001})
    with pytest.raises(InvalidReaction, match=f"^{key} is"):
        checked(**{key: value})


@pytest.mark.parametrize("value", [0, -1, 10_001, 1.5, True, "5"])
def test_concurrency_is_limited(value: object) -> None:
    """The range is 1 to 10,000."""
    checked(concurrency=1)
    with pytest.raises(InvalidReaction, match="concurrency is"):
        checked(concurrency=value)


def test_secrets_are_validated() -> None:
    """Each secret and their number are validated."""
    secret = generate_secret()
    with pytest.raises(InvalidSecret):
        checked(secrets=(secret, "whsec_c2hvcnQ="))
    with pytest.raises(InvalidReaction, match="twice"):
        checked(secrets=(secret, secret.rstrip("=")))
    with pytest.raises(InvalidReaction, match="11 signing secrets"):
        checked(secrets=tuple(generate_secret() for _ in range(11)))
    with pytest.raises(InvalidReaction, match="a list"):
        checked(secrets=secret)


def test_the_policy_and_actions_are_validated() -> None:
    """Their modules define the rules."""
    with pytest.raises(InvalidReaction, match="max_attempts"):
        checked(retry=RetryPolicy(max_attempts=0))
    with pytest.raises(InvalidReaction, match="such as 404"):
        checked(status_actions=(("abc", "fail"),))


def test_a_client_key_needs_a_certificate() -> None:
    """The PEM text of a certificate can include the key."""
    checked(tls=TlsOptions(client_certificate="pem"))
    with pytest.raises(InvalidReaction, match="client_certificate"):
        checked(tls=TlsOptions(client_key="pem"))
