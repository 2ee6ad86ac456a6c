"""Redaction of headers, queries and URLs: values under secret names become `***`.

`webhook-signature` is not secret: it is useless without its message, and helps to find the reason
when a receiver rejects it.
"""

from __future__ import annotations

import re
from datetime import date, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from delivery.message.redaction.name_value_pairs import redact_pairs
from delivery.message.redaction.plain_values import has_text, is_plain, names_its_value

if TYPE_CHECKING:
    from collections.abc import Iterable
    from functools import _lru_cache_wrapper

__all__ = [
    "REDACTED",
    "add_secret_names",
    "exempt_names",
    "has_secret_keys",
    "is_certain",
    "is_credential",
    "is_secret_header",
    "is_secret_key",
    "is_secret_query_key",
    "may_be_secret",
    "may_have_secret_names",
    "redact_head",
    "redact_headers",
    "redact_pairs_in",
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
"""Secret parts of names, which are searched in the letters and digits of a name."""

_WORDS: Final = frozenset(
    {
        *("auth", "bearer", "cvc", "cvv", "jwt", "otp", "pass", "pin", "pwd", "session"),
        *("sessionid", "sig"),
    }
)
"""Secret words of names."""

_QUERY_WORDS: Final = frozenset({"code", "sid"})
"""Secret words only in a query: `code` authorizes Azure Functions and OAuth redirects."""

_OWNERS_OF_KEYS: Final = frozenset(
    {
        *("access", "account", "api", "app", "auth", "client", "encryption", "license", "master"),
        *("private", "secret", "service", "shared", "signing", "ssh", "subscription"),
    }
)
"""Words that make a following `key` in JSON secret. Others are keys of objects, rows or caches."""

_added_names: set[str] = set()
"""Normalized names that the settings add. They are never removed: each engine of a process redacts
the names of all engines."""

_exempt_names: set[str] = set()
"""Normalized names that the settings exempt. A name in both sets is secret."""

_harmless_keys: set[str] = set()
"""Cache of JSON keys that are not secret, which makes the check of an object one set operation."""

_HARMLESS_HEADERS: Final = frozenset(
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
"""Headers that look secret by their names but are not."""

_SHORT: Final = 1_024
_MOST_CACHED_KEYS: Final = 20_000
_LONGEST_CACHED: Final = 64

_CONTAINERS: Final = frozenset({dict, list, tuple})
_URL_HEADERS: Final = frozenset({"content-location", "link", "location", "refresh"})
"""Headers whose values contain URLs."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")
_SEPARATOR: Final = re.compile("([&;])")
_USERINFO: Final = re.compile(r"^([^/?#]*//)[^/?#]*@")

_hints: tuple[bytes, ...] = tuple(
    hint.encode()
    for hint in (
        *("auth", "bearer", "cookie", "credential", "cvc", "cvv", "jwt", "key", "otp", "pass"),
        *("pin", "pwd"),
        *("secret", "session", "sig", "token"),
    )
)
"""Strings of which each secret name contains at least one."""

_FIELD_LINE: Final = re.compile(rb"(\n)([^:\r\n]*)(:[ \t]*)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")


def is_secret_header(name: str) -> bool:
    """Return True if the values of this header must be redacted."""
    return _cached(_is_secret_header, name)


def is_secret_query_key(key: str) -> bool:
    """Return True if the values of this decoded query key must be redacted."""
    return _cached(_is_secret_query_key, key)


def is_secret_key(key: str) -> bool:
    """Return True if the values of this JSON key must be redacted.

    The rules are those of headers, except that `key` alone is not secret, nor the key of an object
    or row.
    """
    return _cached(_is_secret_key, key)


def is_credential(name: str, value: object) -> bool:
    """Return True if a header, query pair or field of a call is a credential of one origin.

    The name and `redaction.names` decide. `redaction.exempt` has no effect here, because it only
    allows values to be stored.
    """
    looks_secret = name.lower() not in _HARMLESS_HEADERS and _looks_secret(name, _WORDS)
    return looks_secret and may_be_secret(name, value)


def is_certain(name: str) -> bool:
    """Return True if a secret name names the kind of its value, such as `apiKey`.

    Names such as `total_tokens` or `signature_required` only contain a secret word.
    """
    return _cached(_is_certain, name)


def may_be_secret(name: str, value: object) -> bool:
    """Return True if a value under a secret name is secret.

    Booleans and null never are. Numbers, dates, and lists or objects of these are secret if the
    name is certain.
    """
    if value is None or isinstance(value, bool):
        return False
    if isinstance(value, str):
        return bool(value) and (is_certain(name) or not is_plain(value))
    if isinstance(value, (int, float, date, time)):
        return is_certain(name)
    if isinstance(value, (dict, list, tuple)):
        return bool(value) and (is_certain(name) or has_text(value))
    return True


def _cached(judgement: _lru_cache_wrapper[bool], name: str) -> bool:
    # Servers choose names too, and long names must not fill the caches.
    return judgement(name) if len(name) <= _LONGEST_CACHED else judgement.__wrapped__(name)


@lru_cache(maxsize=4_096)
def _is_certain(name: str) -> bool:
    normalized, words = _normalized(name), _WORD.findall(name)
    return normalized in _added_names or names_its_value(
        normalized, words[-1].lower() if words else ""
    )


@lru_cache(maxsize=4_096)
def _is_secret_header(name: str) -> bool:
    if name.lower() in _HARMLESS_HEADERS or _is_exempt(name):
        return False
    return _looks_secret(name, _WORDS)


@lru_cache(maxsize=4_096)
def _is_secret_query_key(key: str) -> bool:
    return not _is_exempt(key) and _looks_secret(key, _WORDS | _QUERY_WORDS)


@lru_cache(maxsize=4_096)
def _is_secret_key(key: str) -> bool:
    if _is_exempt(key):
        return False
    words = [word.lower() for word in _WORD.findall(key)]
    if words and words[-1] == "key" and not _has_secret_part(key):
        return len(words) > 1 and words[-2] in _OWNERS_OF_KEYS
    return _looks_secret(key, _WORDS)


def has_secret_keys(value: object) -> bool:
    """Return True if a JSON value contains a secret value under a secret key."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            # Most objects have the same keys as earlier objects.
            if not _harmless_keys.issuperset(item) and _any_secret(item):
                return True
            children: Iterable[object] = item.values()
        elif isinstance(item, (list, tuple)):
            children = item
        else:
            continue
        waiting += [each for each in children if type(each) in _CONTAINERS]
    return False


def _any_secret(item: dict[Any, object]) -> bool:
    for key, value in item.items():
        if not isinstance(key, str):
            continue
        if is_secret_key(key):
            if may_be_secret(key, value):
                return True
        elif len(key) <= _LONGEST_CACHED:
            if len(_harmless_keys) >= _MOST_CACHED_KEYS:
                _harmless_keys.clear()
            _harmless_keys.add(key)
    return False


def add_secret_names(names: Iterable[str]) -> None:
    """Add secret names of headers, query keys and JSON keys, from now on."""
    global _hints  # noqa: PLW0603 - settings of a process; see `_added_names`
    added = {_normalized(name) for name in names} - _added_names - {""}
    if not added:
        return
    _added_names.update(added)
    # Each spelling of a name contains its longest part without a separator.
    parts = (max(_NOT_ALPHANUMERIC.split(name.lower()), key=len) for name in names)
    _hints = (*_hints, *(part.encode() for part in parts))
    _clear_caches()


def exempt_names(names: Iterable[str]) -> None:
    """Add names that are exempt from redaction, from now on."""
    added = {_normalized(name) for name in names} - _exempt_names - {""}
    if added:
        _exempt_names.update(added)
        _clear_caches()


def _clear_caches() -> None:
    for judgement in (_is_secret_header, _is_secret_query_key, _is_secret_key, _is_certain):
        judgement.cache_clear()
    _redact_short_head.cache_clear()
    _harmless_keys.clear()


def may_have_secret_names(data: bytes) -> bool:
    """Return True if the data may contain a secret name; a fast first test."""
    lowered = data.lower()
    for hint in _hints:
        if hint in lowered:
            return True
    # Names can contain escapes.
    return b"\\u" in data


def _is_exempt(name: str) -> bool:
    if not _exempt_names:
        return False
    normalized = _normalized(name)
    return normalized in _exempt_names and normalized not in _added_names


def _normalized(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", name.lower())


def _has_secret_part(name: str) -> bool:
    normalized = _normalized(name)
    return normalized in _added_names or any(part in normalized for part in _PARTS)


def _looks_secret(name: str, words: frozenset[str]) -> bool:
    if _has_secret_part(name):
        return True
    found = [word.lower() for word in _WORD.findall(name)]
    return not words.isdisjoint(found) or (bool(found) and found[-1] == "key")


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Redact the values of secret headers."""
    return tuple((name, _redact_header(name, value)) for name, value in headers)


def _redact_header(name: str, value: str) -> str:
    if is_secret_header(name) and may_be_secret(name, value):
        return REDACTED
    if "=" not in value and "%" not in value:
        return value
    return redact_pairs_in(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def redact_pairs_in(data: bytes) -> bytes:
    """Redact secret values of `name=value` in any text; see `name_value_pairs`.

    Returns the same object if there are none.
    """
    if not (b"=" in data or b"%" in data or b"\\u" in data):
        return data
    return redact_pairs(data, _is_secret_pair)


def _is_secret_pair(name: str, value: str) -> bool:
    return is_secret_query_key(name) and may_be_secret(name, value)


def redact_head(head: bytes) -> bytes:
    """Redact the values of secret headers in the head of a request or response.

    The first line is unchanged. Without secret headers the result is the same object.
    """
    # Called for each delivery. The heads of a server often differ only in the second of their Date.
    return _redact_short_head(head) if len(head) <= _SHORT else _redact_head(head)


@lru_cache(maxsize=512)
def _redact_short_head(head: bytes) -> bytes:
    return _redact_head(head)


def _redact_head(head: bytes) -> bytes:
    # An @ follows the user and password of a URL.
    if b"@" not in head and not may_have_secret_names(head):
        return head
    return _FIELD_LINE.sub(_redact_line, head)


def _redact_line(line: re.Match[bytes]) -> bytes:
    name = line[2].decode("latin-1").strip()
    if not (is_secret_header(name) and may_be_secret(name, line[4].decode("latin-1").strip())):
        if name.lower() in _URL_HEADERS:
            redacted = redact_url(line[4].decode("latin-1")).encode("latin-1")
        else:
            redacted = redact_pairs_in(line[4])
        return line[1] + line[2] + line[3] + redacted
    return line[1] + line[2] + line[3] + REDACTED.encode()


def redact_query(target: str) -> str:
    """Redact the secret query values of a path with a query."""
    path, mark, query = target.partition("?")
    return path + mark + _redact_pairs(query) if query else target


def _redact_pairs(query: str) -> str:
    parts = _SEPARATOR.split(query)
    for place in range(0, len(parts), 2):
        key, mark, value = parts[place].partition("=")
        if mark and _is_secret_pair(unquote_plus(key), unquote_plus(value)):
            parts[place] = f"{key}={REDACTED}"
    redacted = "".join(parts)
    if "%" not in redacted and redacted.count("=") <= len(parts) // 2 + 1:
        return redacted
    # A value can be a URL or a form.
    data = redacted.encode("utf-8", "surrogatepass")
    return redact_pairs_in(data).decode("utf-8", "surrogatepass")


def redact_url(url: str) -> str:
    """Redact the user info, and the secret values in query and fragment, of a URL.

    Accepts any text, including invalid URLs.
    """
    rest, mark, fragment = url.partition("#")
    rest = _USERINFO.sub(rf"\g<1>{REDACTED}@", rest, count=1)
    return redact_query(rest) + mark + _redact_pairs(fragment)
