"""What of a request or response may be stored: values that look like secrets become `***`.

A header or a query key looks like a secret by its name. `webhook-signature` does not: it is of no
use without the message it belongs to, and worth reading when a receiver refuses it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "REDACTED",
    "is_secret_header",
    "is_secret_query_key",
    "redact_head",
    "redact_headers",
    "redact_query",
    "redact_url",
]

REDACTED: Final = "***"

_PARTS: Final = (
    "accesskey",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "signature",
    "token",
)
"""Anywhere in a name from which everything but letters and digits was taken."""

_WORDS: Final = frozenset(
    {"auth", "bearer", "jwt", "otp", "pass", "pin", "pwd", "session", "sessionid", "sig"}
)
"""As a whole word of a name."""

_QUERY_WORDS: Final = frozenset({"code", "sid"})
"""The same in a query only: `code` authorises Azure Functions and OAuth redirects."""

_OPEN_HEADERS: Final = frozenset(
    {
        "cache-key",
        "idempotency-key",
        "sec-websocket-key",
        "surrogate-key",
        "webhook-signature",
        "x-cache-key",
        "x-idempotency-key",
    }
)
"""Look like secrets, but are none."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")
_QUERY_PAIR: Final = re.compile(r"([^&;=]*)=([^&;]*)")
_USERINFO: Final = re.compile(r"^([^/?#]*//)[^/?#]*@")

_HINTS: Final = tuple(
    hint.encode()
    for hint in (
        *("auth", "bearer", "cookie", "credential", "jwt", "key", "otp", "pass", "pin", "pwd"),
        *("secret", "session", "sig", "token"),
    )
)
"""One of these stands in each header name that looks like a secret."""

_FIELD_LINE: Final = re.compile(rb"(\n)([^:\r\n]*)(:[ \t]*)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")


@lru_cache(maxsize=4_096)
def is_secret_header(name: str) -> bool:
    """Whether the value of a header with this name must not be stored."""
    return name.lower() not in _OPEN_HEADERS and _looks_secret(name, _WORDS)


@lru_cache(maxsize=4_096)
def is_secret_query_key(key: str) -> bool:
    """Whether the value of a query key (decoded) must not be stored."""
    return _looks_secret(key, _WORDS | _QUERY_WORDS)


def _looks_secret(name: str, words: frozenset[str]) -> bool:
    squashed = _NOT_ALPHANUMERIC.sub("", name.lower())
    if any(part in squashed for part in _PARTS):
        return True
    found = [word.lower() for word in _WORD.findall(name)]
    return not words.isdisjoint(found) or (bool(found) and found[-1] == "key")


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers, with `***` for the values that must not be stored."""
    return tuple((name, REDACTED if is_secret_header(name) else value) for name, value in headers)


def redact_head(head: bytes) -> bytes:
    """The head of a request or response, with `***` for the header values that must not be stored.

    The first line stays as it is. Without such headers the result is the same object.
    """
    # Most heads have none, and this is asked once per delivery.
    lowered = head.lower()
    for hint in _HINTS:
        if hint in lowered:
            return _FIELD_LINE.sub(_redact_line, head)
    return head


def _redact_line(line: re.Match[bytes]) -> bytes:
    if not is_secret_header(line[2].decode("latin-1").strip()):
        return line[0]
    return line[1] + line[2] + line[3] + REDACTED.encode()


def redact_query(target: str) -> str:
    """A path with its query, with `***` for the query values that must not be stored."""
    path, mark, query = target.partition("?")
    return path + mark + _QUERY_PAIR.sub(_redact_pair, query) if query else target


def _redact_pair(pair: re.Match[str]) -> str:
    return f"{pair[1]}={REDACTED}" if is_secret_query_key(unquote_plus(pair[1])) else pair[0]


def redact_url(url: str) -> str:
    """A URL as it may be stored: userinfo and secret values in query and fragment are `***`.

    Takes any text, also one that is not a valid URL.
    """
    rest, mark, fragment = url.partition("#")
    rest = _USERINFO.sub(rf"\g<1>{REDACTED}@", rest, count=1)
    return redact_query(rest) + mark + _QUERY_PAIR.sub(_redact_pair, fragment)
