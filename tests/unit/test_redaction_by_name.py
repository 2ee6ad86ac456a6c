"""Redaction of headers, queries and URLs."""

from __future__ import annotations

import re

import pytest

from delivery.message.redaction.by_name import (
    is_secret_header,
    is_secret_query_key,
    redact_head,
    redact_headers,
    redact_query,
    redact_url,
)

SECRET_HEADERS = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "Set-Cookie",
    "X-API-Key",
    "Api-Key",
    "apikey",
    "X-Auth",
    "X-Auth-Token",
    "X-CSRF-Token",
    "X-Amz-Security-Token",
    "X-Client-Secret",
    "X-Password",
    "X-Hub-Signature-256",
    "Stripe-Signature",
    "svix-signature",
    "X-Functions-Key",
    "Ocp-Apim-Subscription-Key",
    "X-Session-Id",
    "X-JWT-Assertion",
]

HARMLESS_HEADERS = [
    "webhook-signature",
    "Webhook-Id",
    "webhook-timestamp",
    "Content-Type",
    "Idempotency-Key",
    "X-Request-Id",
    "Author",
    "X-Monkey",
    "Keep-Alive",
    "Www-Authenticate",
    "Surrogate-Key",
    "X-Design",
    "X-Compass",
]


@pytest.mark.parametrize("name", SECRET_HEADERS)
def test_secret_headers_are_redacted(name: str) -> None:
    """Case is ignored. Lists of headers and whole heads agree."""
    for form in (name, name.lower(), name.upper()):
        assert is_secret_header(form)
        assert redact_headers([(form, "hunter2"), ("A", "b")]) == ((form, "***"), ("A", "b"))
        head = f"HTTP/1.1 200 OK\r\nA: b\r\n{form}: hunter2\r\nB: c\r\n\r\n".encode()
        assert redact_head(head) == head.replace(b"hunter2", b"***")


@pytest.mark.parametrize("name", HARMLESS_HEADERS)
def test_other_headers_are_not_redacted(name: str) -> None:
    """The signature of a webhook is one of them."""
    assert not is_secret_header(name)
    assert redact_headers([(name, "v")]) == ((name, "v"),)
    head = f"POST /?token=x HTTP/1.1\r\n{name}: v".encode()
    assert redact_head(head) == head


def test_a_head_without_secrets_is_returned_as_the_same_object() -> None:
    """Most heads have no secrets; copying them would cost time."""
    head = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2"
    assert redact_head(head) is head


def test_continuation_lines_and_repeated_headers_are_redacted() -> None:
    """Lines can also end with a bare line feed."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\n b=hunter2\r\nA: b\nset-cookie:hunter2\nC: d"
    assert redact_head(head) == b"HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nA: b\nset-cookie:***\nC: d"


@pytest.mark.parametrize(
    "key",
    [
        *("token", "access_token", "accessToken", "api_key", "apiKey", "key", "sig", "signature"),
        *("client_secret", "password", "auth", "code", "X-Amz-Signature", "X-Amz-Credential"),
    ],
)
def test_secret_query_values_are_redacted(key: str) -> None:
    """The rest of the target is unchanged."""
    assert is_secret_query_key(key)
    assert redact_query(f"/a?x=1&{key}=hunter2&y=%20") == f"/a?x=1&{key}=***&y=%20"
    assert redact_query(f"/a?{key}=hunter2") == f"/a?{key}=***"
    assert redact_url(f"https://e.com/a?{key}=hunter2#x") == f"https://e.com/a?{key}=***#x"
    assert redact_url(f"https://e.com/#{key}=hunter2") == f"https://e.com/#{key}=***"


def test_query_keys_are_decoded_before_redaction() -> None:
    """An escape in a name does not prevent redaction."""
    assert redact_query("/?%74oken=hunter2;b=1") == "/?%74oken=***;b=1"
    assert redact_query("/?token=hunter2=more&a") == "/?token=***&a"


@pytest.mark.parametrize("target", ["/", "/a?b", "/a?b=c&d", "/token=x", "*", "/?", ""])
def test_other_targets_are_unchanged(target: str) -> None:
    """Only values of a query are redacted."""
    assert redact_query(target) == target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:hunter2@e.com/a", "https://***@e.com/a"),
        ("https://user@e.com", "https://***@e.com"),
        ("https://a:b@c@e.com/d@e", "https://***@e.com/d@e"),
        ("//user:hunter2@e.com", "//***@e.com"),
        ("https://e.com/a@b?c=d@e", "https://e.com/a@b?c=d@e"),
        ("https://e.com:8080/hook", "https://e.com:8080/hook"),
        ("not a url", "not a url"),
        ("", ""),
    ],
)
def test_the_user_info_of_urls_is_redacted(url: str, expected: str) -> None:
    """The text can be invalid, because messages quote invalid URLs."""
    assert redact_url(url) == expected


def test_the_user_info_of_a_location_header_is_redacted() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://u:hunter2@e.test/x"
    assert redact_head(head) == b"HTTP/1.1 302 Found\r\nLocation: http://***@e.test/x"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/?next=https://e.test/%3Ftoken%3Dx&a=1", "/?next=https://e.test/%3Ftoken%3D***&a=1"),
        ("/?next=https%3A%2F%2Fe.test%2F%3Fa%3D1%26token%3Dx%26b", None),
        ("/?n=%252F%253Fn%253D%25252F%25253Ftoken%25253Dx", None),
        ("/?data=%7B%22password%22%3A%22x%22%7D", "/?data=%7B%22password%22%3A***"),
        ("/?next=https%3A%2F%2Fe.test%2F%3Ftotal_tokens%3D12", "unchanged"),
    ],
)
def test_a_url_in_a_query_value_is_redacted(target: str, expected: str | None) -> None:
    """It can be encoded several times. The rest is unchanged."""
    redacted = redact_query(target)
    if expected is None:
        expected = re.sub(r"(token%\d*3D)x", r"\1***", target)
    assert redacted == (target if expected == "unchanged" else expected)
    assert redact_url(f"https://e.test{target}") == f"https://e.test{redacted}"
    head = f"HTTP/1.1 302 Found\r\nX-Other: https://e.test{target}\r\nLocation: {target}"
    assert redact_head(head.encode()) == head.replace(target, redacted).encode()
    assert redact_headers([("X-Other", target)]) == (("X-Other", redacted),)


LONG = 1_000_000


@pytest.mark.parametrize(
    "lines",
    [
        b"Location: /?" + b"x" * LONG,
        b"Location: /?" + b"&" * LONG,
        b"Location: /?" + b"=" * LONG,
        b"Location: " + b"/" * LONG,
        b"Location: /#" + b"x" * LONG,
        b"a:\r\n " * (LONG // 5),
        b"token" * (LONG // 5) + b":x",
        b"\n" * LONG,
    ],
)
def test_hostile_heads_are_redacted_in_linear_time(lines: bytes) -> None:
    """With quadratic time, the test would exceed its timeout."""
    redacted = redact_head(b"HTTP/1.1 200 OK\r\nX-Token: hunter2\r\n" + lines)
    assert redacted.startswith(b"HTTP/1.1 200 OK\r\nX-Token: ***\r\n")
