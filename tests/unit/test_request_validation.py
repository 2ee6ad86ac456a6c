"""Calls that can be made, and those that are refused."""

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
    """A good call but for the changes, validated."""
    return validate_params(dataclasses.replace(PARAMS, **changes))


def test_good_call_is_returned_as_it_is() -> None:
    """Defaults are valid."""
    assert validate_params(PARAMS) == PARAMS


def test_call_is_brought_into_its_stored_form() -> None:
    """Methods in capitals, values without outer blanks, actions as words of the model."""
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
    """All seven."""
    assert checked(method=method).method == method


@pytest.mark.parametrize("method", ["", "CONNECT", "TRACE", "GET /x HTTP/1.1\r\nA: b", "POST\n"])
def test_other_methods_are_refused(method: str) -> None:
    """With the list of those that are not."""
    with pytest.raises(InvalidReaction, match="must be one of DELETE, GET"):
        checked(method=method)


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\r\nB", "a\n", "(a)", "x" * 257])
def test_wrong_header_name_is_refused(name: str) -> None:
    """Names are tokens of RFC 9110."""
    with pytest.raises(InvalidReaction, match="not a header name"):
        checked(headers=((name, "v"),))


@pytest.mark.parametrize("mark", ["\r", "\n", "\0", "\x1b", "\x7f", "\r\nX-Injected: 1"])
def test_control_characters_in_a_value_are_refused(mark: str) -> None:
    """Nothing can be smuggled into a request, and the value is not repeated."""
    with pytest.raises(InvalidReaction, match=r"header X-A .* position 7") as caught:
        checked(headers=(("X-A", f"hunter2{mark}b"),))
    assert "hunter2" not in str(caught.value)


def test_value_beyond_latin_1_is_refused() -> None:
    """Headers cannot hold it, so the message says what to do."""
    with pytest.raises(InvalidReaction, match=r"position 2 .* ISO 8859-1"):
        checked(headers=(("X-A", "ü €"),))


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "Expect", "TE"),
        *("webhook-id", "Webhook-Signature", "webhook-anything", "Proxy-Connection"),
    ],
)
def test_headers_that_are_the_engines_are_refused(name: str) -> None:
    """With the reason."""
    with pytest.raises(InvalidReaction, match=f"header {name} cannot be set: "):
        checked(headers=((name, "v"),))


@pytest.mark.parametrize(
    "name",
    [
        *("Content_Length", "transfer_encoding", "TRANSFER_ENCODING", "Transfer.Encoding"),
        *("webhook_id", "Webhook_Signature", "Proxy_Connection", "http2_settings", "Keep_Alive"),
    ],
)
def test_headers_that_servers_read_as_the_engines_are_refused(name: str) -> None:
    """CGI and WSGI make the same variable of both."""
    with pytest.raises(InvalidReaction, match=f"header {name} cannot be set: many servers read it"):
        checked(headers=((name, "v"),))


def test_headers_that_servers_read_as_one_are_given_once() -> None:
    for one, other in (("User-Agent", "User_Agent"), ("Content_Type", "content-type")):
        with pytest.raises(InvalidReaction, match="twice"):
            checked(headers=((one, "1"), (other, "2")))
    with pytest.raises(InvalidReaction, match="compression sets Content-Encoding"):
        checked(headers=(("Content_Encoding", "br"),), compression="gzip")
    with pytest.raises(InvalidReaction, match="content type is given twice"):
        checked(
            headers=(("Content_Type", "text/plain"),),
            body=Body(BodyKind.RAW, "x", content_type="text/html"),
        )
    checked(headers=(("X_A", "1"), ("X-A", "2")))


def test_headers_may_repeat_unless_they_have_one_value() -> None:
    """As HTTP has it."""
    checked(headers=(("X-A", "1"), ("x-a", "2")))
    with pytest.raises(InvalidReaction, match="twice"):
        checked(headers=(("User-Agent", "1"), ("user-agent", "2")))


def test_headers_are_bounded() -> None:
    """In number and length."""
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
        (Body(BodyKind.JSON, b"{}"), "must be a value"),
        (Body(BodyKind.JSON, 2**70), 'use a "raw" body'),
        (Body(BodyKind.FORM, None), "must be an object, not null"),
        (Body(BodyKind.FORM, [("a", "b")]), "must be an object, not a list"),
        (Body(BodyKind.FORM, {"a": ["b"]}), "field 'a' .* a list"),
        (Body(BodyKind.FORM, {"a": None}), "field 'a' .* null"),
        (Body(BodyKind.FORM, {1: "b"}), "names are texts"),
        (Body(BodyKind.RAW), "must be a text, not null"),
        (Body(BodyKind.RAW, b"x"), "must be a text, not a bytes"),
        (Body(BodyKind.RAW, "\ud800"), "lone surrogate"),
        (Body(BodyKind.FORM, {"a": "\ud800"}), "lone surrogate"),
        (Body(BodyKind.RAW, "x" * 1_048_577), "1,048,577 bytes"),
        (Body(BodyKind.RAW, "x", "text/plain\r\nX: y"), "Content-Type .* position 10"),
        (Body(BodyKind.RAW, "x", " "), "content_type is empty"),
    ],
)
def test_content_must_be_what_the_kind_asks_for(body: Body, message: str) -> None:
    """The message names the kind."""
    with pytest.raises(InvalidReaction, match=message):
        checked(body=body)


def test_content_type_is_given_once() -> None:
    """Either with the body or as a header."""
    checked(headers=(("Content-Type", "a/b"),))
    with pytest.raises(InvalidReaction, match="given twice"):
        checked(headers=(("Content-Type", "a/b"),), body=Body(BodyKind.RAW, "x", "c/d"))


@pytest.mark.parametrize("key", ["timeout", "connect_timeout"])
@pytest.mark.parametrize("value", [0, -1.0, 300.1, float("nan"), float("inf"), True, "5"])
def test_time_limits_are_bounded(key: str, value: object) -> None:
    """There is no call without one."""
    checked(**{key: 300})
    checked(**{key: 0.001})
    with pytest.raises(InvalidReaction, match=f"^{key} is"):
        checked(**{key: value})


@pytest.mark.parametrize("value", [0, -1, 10_001, 1.5, True, "5"])
def test_concurrency_is_bounded(value: object) -> None:
    """From one to ten thousand."""
    checked(concurrency=1)
    with pytest.raises(InvalidReaction, match="concurrency is"):
        checked(concurrency=value)


def test_secrets_are_checked() -> None:
    """Each, and together."""
    secret = generate_secret()
    with pytest.raises(InvalidSecret):
        checked(secrets=(secret, "whsec_c2hvcnQ="))
    with pytest.raises(InvalidReaction, match="twice"):
        checked(secrets=(secret, secret.rstrip("=")))
    with pytest.raises(InvalidReaction, match="11 signing secrets"):
        checked(secrets=tuple(generate_secret() for _ in range(11)))
    with pytest.raises(InvalidReaction, match="a list"):
        checked(secrets=secret)


def test_policy_and_actions_are_checked() -> None:
    """By their own rules."""
    with pytest.raises(InvalidReaction, match="max_attempts"):
        checked(retry=RetryPolicy(max_attempts=0))
    with pytest.raises(InvalidReaction, match="such as 404"):
        checked(status_actions=(("abc", "fail"),))


def test_client_key_needs_its_certificate() -> None:
    """A certificate alone may hold its key in the same text."""
    checked(tls=TlsOptions(client_certificate="pem"))
    with pytest.raises(InvalidReaction, match="client_certificate"):
        checked(tls=TlsOptions(client_key="pem"))
