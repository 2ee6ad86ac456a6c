"""What of requests and responses may be stored."""

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

OPEN_HEADERS = [
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
def test_secret_looking_headers_are_known(name: str) -> None:
    """In any case of letters, in lists and in whole heads."""
    for form in (name, name.lower(), name.upper()):
        assert is_secret_header(form)
        assert redact_headers([(form, "hunter2"), ("A", "b")]) == ((form, "***"), ("A", "b"))
        head = f"HTTP/1.1 200 OK\r\nA: b\r\n{form}: hunter2\r\nB: c\r\n\r\n".encode()
        assert redact_head(head) == head.replace(b"hunter2", b"***")


@pytest.mark.parametrize("name", OPEN_HEADERS)
def test_other_headers_are_stored(name: str) -> None:
    """The signature of a webhook among them."""
    assert not is_secret_header(name)
    assert redact_headers([(name, "v")]) == ((name, "v"),)
    head = f"POST /?token=x HTTP/1.1\r\n{name}: v".encode()
    assert redact_head(head) == head


def test_head_without_secrets_is_the_same_object() -> None:
    """Nothing is copied for the many."""
    head = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2"
    assert redact_head(head) is head


def test_continued_and_doubled_header_lines_are_removed_whole() -> None:
    """Also after bare line feeds."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\n b=hunter2\r\nA: b\nset-cookie:hunter2\nC: d"
    assert redact_head(head) == b"HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nA: b\nset-cookie:***\nC: d"


@pytest.mark.parametrize(
    "key",
    [
        *("token", "access_token", "accessToken", "api_key", "apiKey", "key", "sig", "signature"),
        *("client_secret", "password", "auth", "code", "X-Amz-Signature", "X-Amz-Credential"),
    ],
)
def test_secret_looking_query_values_are_removed(key: str) -> None:
    """The rest of the target stays as it is."""
    assert is_secret_query_key(key)
    assert redact_query(f"/a?x=1&{key}=hunter2&y=%20") == f"/a?x=1&{key}=***&y=%20"
    assert redact_query(f"/a?{key}=hunter2") == f"/a?{key}=***"
    assert redact_url(f"https://e.com/a?{key}=hunter2#x") == f"https://e.com/a?{key}=***#x"
    assert redact_url(f"https://e.com/#{key}=hunter2") == f"https://e.com/#{key}=***"


def test_encoded_query_keys_are_judged_decoded() -> None:
    """An escape in the name hides nothing."""
    assert redact_query("/?%74oken=hunter2;b=1") == "/?%74oken=***;b=1"
    assert redact_query("/?token=hunter2=more&a") == "/?token=***&a"


@pytest.mark.parametrize("target", ["/", "/a?b", "/a?b=c&d", "/token=x", "*", "/?", ""])
def test_other_targets_stay_as_they_are(target: str) -> None:
    """Only values of a query are removed."""
    assert redact_query(target) == target


@pytest.mark.parametrize(
    ("url", "shown"),
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
def test_urls_are_stored_without_userinfo(url: str, shown: str) -> None:
    """Any text may be given, for it may stand in a message about a wrong URL."""
    assert redact_url(url) == shown


def test_credentials_in_a_location_are_hidden_though_no_name_tells_of_them() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://u:hunter2@e.test/x"
    assert redact_head(head) == b"HTTP/1.1 302 Found\r\nLocation: http://***@e.test/x"


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/?next=https://e.test/%3Ftoken%3Dx&a=1", "/?next=https://e.test/%3Ftoken%3D***&a=1"),
        ("/?next=https%3A%2F%2Fe.test%2F%3Fa%3D1%26token%3Dx%26b", None),
        ("/?n=%252F%253Fn%253D%25252F%25253Ftoken%25253Dx", None),
        ("/?data=%7B%22password%22%3A%22x%22%7D", "/?data=%7B%22password%22%3A***"),
        ("/?next=https%3A%2F%2Fe.test%2F%3Ftotal_tokens%3D12", "unchanged"),
    ],
)
def test_a_url_in_a_value_is_looked_into(target: str, shown: str | None) -> None:
    """However often it is encoded; all else is kept."""
    redacted = redact_query(target)
    if shown is None:
        shown = re.sub(r"(token%\d*3D)x", r"\1***", target)
    assert redacted == (target if shown == "unchanged" else shown)
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
def test_a_million_bytes_of_a_hostile_head_are_read_once(lines: bytes) -> None:
    """Were it more than a few times, this would not end within the time that a test has."""
    redacted = redact_head(b"HTTP/1.1 200 OK\r\nX-Token: hunter2\r\n" + lines)
    assert redacted.startswith(b"HTTP/1.1 200 OK\r\nX-Token: ***\r\n")
